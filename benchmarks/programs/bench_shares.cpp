// Time of a whole hop against the multiply-add peak of its instruction set, measured in the
// same run: CPU time of the thread, minimum and median, all ways of computing in turns.
//
//   bench_shares MODEL MMAC [rounds] [isa]
//
// MMAC: million multiply-adds of a hop, FFT and folded mask; 27.8 for the default shape, 135
// for the 4.8 M one of version 1.3. One line per way, tab separated: isa, way, us min, us
// median, share of the peak by the minimum (of the peak itself: GMAC/s). "prepared" is samples in
// to samples out with history first; "streams 16" is a hop of one of 16 streams of a group.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "voxhop.h"

namespace {

constexpr int64_t kStreams = 16;
constexpr int kHops = 10;  // of one way in a row, after two that fill the caches

double cpu_us() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e6 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_nsec);
}

void check(int32_t code, const vh_error & error) {
  if (code == VH_OK) return;
  std::fprintf(stderr, "%s\n", error.message);
  std::exit(2);
}

struct Close {
  void operator()(vh_model * p) const { vh_model_close(p); }
  void operator()(vh_session * p) const { vh_session_close(p); }
  void operator()(vh_group * p) const { vh_group_close(p); }
};

struct Way {
  std::string name;
  std::function<void()> before;  // not timed
  std::function<void()> run;
  double hops = 1;  // per run
  std::vector<double> us = {};
};

struct Audio {
  Audio(int64_t samples, bool with_ref)
      : ref(static_cast<size_t>(samples)), mic(ref.size()), out(ref.size()), heard(with_ref) {
    unsigned noise = 1;
    for (size_t i = 0; i < ref.size(); ++i) {
      noise = noise * 1664525u + 1013904223u;
      ref[i] = static_cast<float>(noise >> 8) / 16777216.0f - 0.5f;
      mic[i] = 0.4f * ref[i];
    }
  }
  const float * reference() const { return heard ? ref.data() : nullptr; }

  std::vector<float> ref, mic, out;
  bool heard;
};

vh_session_options options(const char * kernels, const char * isa, const char * precision) {
  vh_session_options o;
  vh_session_options_init(&o);
  o.kernels = kernels;
  o.isa = isa;
  o.precision = precision;
  return o;
}

void add_session(const vh_model * model, const std::string & name, const vh_session_options & o,
                 int64_t hop, const std::shared_ptr<Audio> & audio, std::vector<Way> & ways) {
  vh_error error{};
  vh_session * opened = nullptr;
  check(vh_session_open(model, &o, &opened, &error), error);
  const std::shared_ptr<vh_session> session(opened, Close());
  ways.push_back({name, [session] { vh_session_prepare(session.get(), nullptr); },
                  [session, hop, audio] {
                    vh_session_process_f32(session.get(), audio->mic.data(), audio->reference(),
                                           audio->out.data(), hop, nullptr);
                  }});
}

void add_group(const vh_model * model, const std::string & name, const vh_session_options & o,
               int64_t hop, const std::shared_ptr<Audio> & audio, std::vector<Way> & ways) {
  vh_error error{};
  vh_group * opened = nullptr;
  check(vh_group_open(model, &o, kStreams, &opened, &error), error);
  const std::shared_ptr<vh_group> group(opened, Close());
  ways.push_back({name, [] {},
                  [group, hop, audio] {
                    vh_group_process_f32(group.get(), audio->mic.data(), audio->reference(),
                                         nullptr, audio->out.data(), hop, nullptr);
                  },
                  static_cast<double>(kStreams)});
}

std::vector<Way> all_ways(const vh_model * model, const char * isa) {
  vh_error error{};
  vh_model_info info;
  check(vh_model_get_info(model, &info, &error), error);
  const int64_t hop = info.hop_samples;
  const auto audio = std::make_shared<Audio>(kStreams * hop, info.input_count > 1);
  std::vector<Way> ways;
  add_session(model, "direct f32", options("direct", isa, "f32"), hop, audio, ways);
  for (const char * precision : {"f32", "f16", "bf16", "int8"}) {
    vh_session_options o = options("fused", isa, precision);
    const std::string name = std::string("fused ") + precision;
    add_session(model, name, o, hop, audio, ways);
    add_group(model, name + " streams 16", o, hop, audio, ways);
    o.history_first = 1;
    add_session(model, name + " prepared", o, hop, audio, ways);
  }
  return ways;
}

void measure(std::vector<Way> & ways, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (Way & way : ways) {
      for (int i = -2; i < kHops; ++i) {
        way.before();
        const double start = cpu_us();
        way.run();
        if (i >= 0) way.us.push_back((cpu_us() - start) / way.hops);
      }
    }
  }
}

}  // namespace

int main(int argc, char ** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench_shares MODEL MMAC [rounds] [isa]\n");
    return 2;
  }
  const double macs = 1e6 * std::atof(argv[2]);
  const int rounds = argc > 3 ? std::max(1, std::atoi(argv[3])) : 50;
  vh_error error{};
  vh_model * opened = nullptr;
  check(vh_model_open(argv[1], &opened, &error), error);
  const std::unique_ptr<vh_model, Close> model(opened);
  for (const std::string & isa : voxhop::kernels::available_isas()) {
    if (argc > 4 && isa != argv[4]) continue;
    const voxhop::kernels::KernelTable & table = *voxhop::kernels::find_table(isa);
    float sink[16];
    int64_t burst = 0;
    std::vector<Way> ways = all_ways(model.get(), isa.c_str());
    ways.push_back({"peak", [] {}, [&] { burst = table.fma_burst(20000, sink); }});
    measure(ways, rounds);
    double peak = 0.0;  // multiply-adds per us
    for (auto way = ways.rbegin(); way != ways.rend(); ++way) {
      std::sort(way->us.begin(), way->us.end());
      const double best = way->us.front();
      const bool is_peak = way == ways.rbegin();
      if (is_peak) peak = static_cast<double>(burst) / best;
      std::printf("%s\t%s\t%.1f\t%.1f\t%.3f\n", isa.c_str(), way->name.c_str(), best,
                  way->us[way->us.size() / 2], is_peak ? 1e-3 * peak : macs / best / peak);
    }
  }
  return 0;
}
