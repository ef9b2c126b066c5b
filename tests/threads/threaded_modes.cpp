// Every mode of voxhop that more than one thread takes part in, through the C interface, each
// against the same work done by one thread: equal bits, and no data race when built with
// ThreadSanitizer (tools/sanitize.sh thread).
//
//   threaded_modes MODEL
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "voxhop.h"

namespace {

constexpr int64_t kHop = 256;
constexpr int kHops = 5;
using Samples = std::vector<float>;

// Ends the program: a mode that cannot be opened is not a mode that passed.
void check(int32_t code, const char * what, const vh_error & error) {
  if (code == VH_OK) return;
  std::fprintf(stderr, "%s: %s\n", what, error.message);
  std::exit(2);
}

struct Close {
  void operator()(vh_model * p) const { vh_model_close(p); }
  void operator()(vh_session * p) const { vh_session_close(p); }
  void operator()(vh_group * p) const { vh_group_close(p); }
  void operator()(vh_stream * p) const { vh_stream_close(p); }
};
template <class T>
using Handle = std::unique_ptr<T, Close>;

struct Way {
  const char * kernels;
  const char * precision;
  int32_t history_first;
};
constexpr Way kWays[] = {
    {"fused", "f32", 0}, {"direct", "f32", 1}, {"fused", "f16", 1}, {"fused", "int8", 0}};

vh_session_options options(const Way & way, int32_t threads) {
  vh_session_options o;
  vh_session_options_init(&o);
  o.kernels = way.kernels;
  o.precision = way.precision;
  o.history_first = way.history_first;
  o.n_threads = threads;
  return o;
}

Handle<vh_session> open_session(const vh_model * model, const vh_session_options & o) {
  vh_error error{};
  vh_session * session = nullptr;
  check(vh_session_open(model, &o, &session, &error), "session", error);
  return Handle<vh_session>(session);
}

// Noise and its echo, `samples` of each.
struct Pair {
  Samples mic, ref;
};
Pair signals(int64_t samples, unsigned seed) {
  Pair pair;
  for (int64_t i = 0; i < samples; ++i) {
    seed = seed * 1664525u + 1013904223u;
    pair.ref.push_back(static_cast<float>(seed >> 8) / 16777216.0f - 0.5f);
    pair.mic.push_back(i < 300 ? 0.0f : 0.4f * pair.ref[static_cast<size_t>(i - 300)]);
  }
  return pair;
}

Samples run(vh_session * session, const Pair & pair) {
  Samples out(pair.mic.size());
  vh_error error{};
  for (size_t at = 0; at < out.size(); at += kHop) {
    check(vh_session_prepare(session, &error), "prepare", error);
    check(vh_session_process_f32(session, &pair.mic[at], &pair.ref[at], &out[at], kHop, &error),
          "process", error);
    // Now and then long enough for the workers to fall asleep.
    if (at / kHop % 2 == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return out;
}

bool threads_of_a_session(const vh_model * model) {
  const Pair pair = signals(kHops * kHop, 1);
  for (const Way & way : kWays) {
    const Samples expected = run(open_session(model, options(way, 1)).get(), pair);
    for (const int32_t threads : {2, 3}) {
      if (run(open_session(model, options(way, threads)).get(), pair) != expected) return false;
    }
  }
  return true;
}

bool threads_of_a_group(const vh_model * model) {
  constexpr int64_t kStreams = 3;
  for (const Way & way : kWays) {
    vh_error error{};
    vh_group * opened = nullptr;
    const vh_session_options o = options(way, 3);
    check(vh_group_open(model, &o, kStreams, &opened, &error), "group", error);
    const Handle<vh_group> group(opened);
    const Pair pair = signals(kHops * kStreams * kHop, 2);
    Samples out(pair.mic.size());
    for (int hop = 0; hop < kHops; ++hop) {
      const auto at = static_cast<size_t>(hop * kStreams * kHop);
      const uint8_t some[kStreams] = {1, 0, 1};
      check(vh_group_prepare(group.get(), hop % 2 == 0 ? some : nullptr, &error), "prepare", error);
      check(vh_group_process_f32(group.get(), &pair.mic[at], &pair.ref[at], nullptr, &out[at], kHop,
                                 &error),
            "process", error);
    }
    for (int64_t stream = 0; stream < kStreams; ++stream) {
      Pair one;
      Samples found;
      for (int hop = 0; hop < kHops; ++hop) {
        const auto at = static_cast<std::ptrdiff_t>((hop * kStreams + stream) * kHop);
        one.mic.insert(one.mic.end(), pair.mic.begin() + at, pair.mic.begin() + at + kHop);
        one.ref.insert(one.ref.end(), pair.ref.begin() + at, pair.ref.begin() + at + kHop);
        found.insert(found.end(), out.begin() + at, out.begin() + at + kHop);
      }
      if (run(open_session(model, options(way, 1)).get(), one) != found) return false;
    }
  }
  return true;
}

// Opened, run and closed at once: the first of each way packs weights that all share.
bool sessions_in_two_threads(const char * path) {
  vh_error error{};
  vh_model * opened = nullptr;
  check(vh_model_open(path, &opened, &error), "model", error);
  const Handle<vh_model> model(opened);
  const Pair pair = signals(kHops * kHop, 3);
  for (const Way & way : kWays) {
    Samples found[2];
    std::thread threads[2];
    for (int i = 0; i < 2; ++i) {
      threads[i] = std::thread(
          [&, i] { found[i] = run(open_session(model.get(), options(way, 1)).get(), pair); });
    }
    for (std::thread & thread : threads) thread.join();
    if (found[0] != found[1]) return false;
    if (run(open_session(model.get(), options(way, 1)).get(), pair) != found[0]) return false;
  }
  return true;
}

Handle<vh_stream> open_stream(const vh_model * model, double delay_ms) {
  vh_error error{};
  vh_stream_options o;
  vh_stream_options_init(&o);
  o.delay_ms = delay_ms;
  vh_stream * stream = nullptr;
  check(vh_stream_open(model, &o, &stream, &error), "stream", error);
  return Handle<vh_stream>(stream);
}

// The reference comes from a thread of its own, in blocks of another length, and is read,
// reset and asked for figures by the microphone's.
bool reference_from_another_thread(const vh_model * model, double delay_ms) {
  constexpr int64_t kRefBlock = 441, kMicBlock = 480, kFrames = 24000;
  const Pair pair = signals(kFrames, 4);
  const Handle<vh_stream> stream = open_stream(model, delay_ms);
  // Relaxed: these two must not order what the stream itself has to order.
  std::atomic<int64_t> pushed{0}, heard{0};
  constexpr auto kRelaxed = std::memory_order_relaxed;
  std::thread reference([&] {
    vh_error error{};
    for (int64_t at = 0; at + kRefBlock <= kFrames; at += kRefBlock) {
      // As a loudspeaker does: a little ahead of the microphone.
      while (at > heard.load(kRelaxed) + 4800) std::this_thread::yield();
      check(vh_stream_push_ref_f32(stream.get(), &pair.ref[static_cast<size_t>(at)], kRefBlock,
                                   at % 7 == 0 ? at : -1, &error),
            "push_ref", error);
      pushed.store(at + kRefBlock, kRelaxed);
    }
  });
  vh_error error{};
  Samples out(kMicBlock);
  float largest = 0.0f;
  for (int64_t at = 0; at + kMicBlock <= kFrames - 4800; at += kMicBlock) {
    check(vh_stream_push_mic_f32(stream.get(), &pair.mic[static_cast<size_t>(at)], out.data(),
                                 kMicBlock, &error),
          "push_mic", error);
    for (const float sample : out) largest = sample > largest ? sample : largest;
    vh_stream_metrics metrics{};
    metrics.struct_size = sizeof metrics;
    check(vh_stream_get_metrics(stream.get(), &metrics, &error), "metrics", error);
    check(vh_stream_set(stream.get(), VH_CONTROL_STRENGTH, at % 960 == 0 ? 1.0 : 0.5, &error),
          "set", error);
    if (at == 20 * kMicBlock) check(vh_stream_reset(stream.get(), &error), "reset", error);
    heard.store(at + kMicBlock, kRelaxed);
  }
  heard.store(kFrames, kRelaxed);
  reference.join();
  return largest > 1e-3f && pushed.load(kRelaxed) + kRefBlock > kFrames;
}

}  // namespace

int main(int argc, char ** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: threaded_modes MODEL\n");
    return 2;
  }
  vh_error error{};
  vh_model * opened = nullptr;
  check(vh_model_open(argv[1], &opened, &error), "model", error);
  const Handle<vh_model> model(opened);
  const struct {
    const char * name;
    std::function<bool()> run;
  } modes[] = {
      {"threads of a session", [&] { return threads_of_a_session(model.get()); }},
      {"threads of a group", [&] { return threads_of_a_group(model.get()); }},
      {"sessions in two threads", [&] { return sessions_in_two_threads(argv[1]); }},
      {"reference from another thread, delay found",
       [&] { return reference_from_another_thread(model.get(), std::strtod("nan", nullptr)); }},
      {"reference from another thread, fixed delay",
       [&] { return reference_from_another_thread(model.get(), 20.0); }},
  };
  int failed = 0;
  for (const auto & mode : modes) {
    const bool equal = mode.run();
    std::printf("%s: %s\n", mode.name, equal ? "ok" : "FAILED");
    std::fflush(stdout);
    failed += equal ? 0 : 1;
  }
  return failed == 0 ? 0 : 1;
}
