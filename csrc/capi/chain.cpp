// The C interface of chains: argument checks and the exception barrier, no logic.
#include "chain/chain.h"

#include <memory>

#include "chain/chain_link.h"
#include "core/c_boundary.h"
#include "voxhop.h"

// Reading figures and saving use work space, which changes nothing that a caller sees.
struct vh_chain {
  vh_chain(const vh_chain_link * links, size_t n, int32_t in_rate, int32_t out_rate)
      : chain(links, n, in_rate, out_rate) {}
  mutable voxhop::Chain chain;
};

namespace {

using voxhop::guarded;
using voxhop::require;

void check_link(const vh_chain * chain, size_t link) {
  require(chain, "chain");
  VH_CHECK(link < chain->chain.size(), VH_E_ARGUMENT, "link %zu, expected less than %zu", link,
           chain->chain.size());
}

// Of a struct that the caller has filled with its size.
template <typename Metrics>
void check_metrics(const Metrics * metrics) {
  require(metrics, "metrics");
  VH_CHECK(metrics->struct_size == sizeof(Metrics), VH_E_ARGUMENT,
           "metrics: struct_size %zu, expected %zu", metrics->struct_size, sizeof(Metrics));
}

template <typename T>
int32_t process(vh_chain * chain, const T * in, const T * ref, int64_t frames, T * out,
                int64_t capacity, int64_t * written, vh_error * err) {
  return guarded(err, [&] {
    require(written, "written");
    *written = 0;
    require(chain, "chain");
    VH_CHECK(frames >= 0, VH_E_ARGUMENT, "frames: %lld, expected 0 or more",
             static_cast<long long>(frames));
    VH_CHECK(ref == nullptr || chain->chain.takes_ref(), VH_E_ARGUMENT,
             "ref: no link of this chain takes a reference, expected NULL");
    const int64_t made = chain->chain.output_frames(frames);
    VH_CHECK(made <= capacity, VH_E_SHAPE, "out: room for %lld frames, expected %lld",
             static_cast<long long>(capacity), static_cast<long long>(made));
    if (frames == 0) return;
    require(in, "in");
    if (made > 0) require(out, "out");
    chain->chain.process(in, ref, out, frames);
    *written = made;
  });
}

template <typename T>
int32_t flush(vh_chain * chain, T * out, int64_t frames, vh_error * err) {
  return guarded(err, [&] {
    require(chain, "chain");
    const int64_t expected = chain->chain.latency();
    VH_CHECK(frames == expected, VH_E_SHAPE, "out: %lld frames, expected %lld, the latency",
             static_cast<long long>(frames), static_cast<long long>(expected));
    if (expected > 0) require(out, "out");
    chain->chain.flush(out);
  });
}

}  // namespace

extern "C" {

void vh_chain_link_init(vh_chain_link * link) {
  if (link == nullptr) return;
  *link = vh_chain_link{};
  link->struct_size = sizeof(vh_chain_link);
  link->kind = VH_LINK_MODEL;
  link->comfort_noise = 1;
  link->level = VH_LEVEL_AUTO;
  link->strength = 1.0;
  link->kbps = 6;
}

int32_t vh_chain_check_link(const vh_chain_link * link, vh_error * err) {
  return guarded(err, [&] {
    require(link, "link");
    voxhop::checked_link(*link, "0");
  });
}

int32_t vh_chain_open(const vh_chain_link * links, size_t n_links, int32_t in_rate,
                      int32_t out_rate, vh_chain ** out, vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    require(links, "links");
    *out = new vh_chain(links, n_links, in_rate, out_rate);
  });
}

void vh_chain_close(vh_chain * chain) {
  std::unique_ptr<vh_chain> owner(chain);
}

int64_t vh_chain_latency(const vh_chain * chain) {
  return chain == nullptr ? 0 : chain->chain.latency();
}

int32_t vh_chain_takes_ref(const vh_chain * chain) {
  return chain != nullptr && chain->chain.takes_ref() ? 1 : 0;
}

int64_t vh_chain_output_frames(const vh_chain * chain, int64_t frames) {
  return chain == nullptr || frames < 0 ? 0 : chain->chain.output_frames(frames);
}

int32_t vh_chain_process_f32(vh_chain * chain, const float * in, const float * ref, int64_t frames,
                             float * out, int64_t capacity, int64_t * written, vh_error * err) {
  return process(chain, in, ref, frames, out, capacity, written, err);
}

int32_t vh_chain_process_s16(vh_chain * chain, const int16_t * in, const int16_t * ref,
                             int64_t frames, int16_t * out, int64_t capacity, int64_t * written,
                             vh_error * err) {
  return process(chain, in, ref, frames, out, capacity, written, err);
}

int32_t vh_chain_flush_f32(vh_chain * chain, float * out, int64_t frames, vh_error * err) {
  return flush(chain, out, frames, err);
}

int32_t vh_chain_flush_s16(vh_chain * chain, int16_t * out, int64_t frames, vh_error * err) {
  return flush(chain, out, frames, err);
}

int32_t vh_chain_reset(vh_chain * chain, vh_error * err) {
  return guarded(err, [&] {
    require(chain, "chain");
    chain->chain.reset();
  });
}

int32_t vh_chain_set(vh_chain * chain, size_t link, int32_t control, double value, vh_error * err) {
  return guarded(err, [&] {
    check_link(chain, link);
    chain->chain.slot(link).set(control, value);
  });
}

int32_t vh_chain_set_options(vh_chain * chain, size_t link, const vh_option * values, size_t n,
                             vh_error * err) {
  return guarded(err, [&] {
    check_link(chain, link);
    if (n > 0) require(values, "options: values");
    for (size_t i = 0; i < n; ++i) {
      require(values[i].name, "options: name");
      require(values[i].value, "options: value");
    }
    chain->chain.slot(link).stage().set_options(values, n);
  });
}

int32_t vh_chain_get_metrics(const vh_chain * chain, vh_chain_metrics * metrics, vh_error * err) {
  return guarded(err, [&] {
    require(chain, "chain");
    check_metrics(metrics);
    chain->chain.read_metrics(*metrics);
  });
}

int32_t vh_chain_get_link_metrics(const vh_chain * chain, size_t link,
                                  vh_chain_link_metrics * metrics, vh_error * err) {
  return guarded(err, [&] {
    check_link(chain, link);
    check_metrics(metrics);
    chain->chain.read_metrics(link, *metrics);
  });
}

size_t vh_chain_state_size(const vh_chain * chain) {
  return chain == nullptr ? 0 : chain->chain.state_size();
}

int32_t vh_chain_state_save(const vh_chain * chain, void * blob, size_t size, vh_error * err) {
  return guarded(err, [&] {
    require(chain, "chain");
    require(blob, "blob");
    chain->chain.save(blob, size);
  });
}

int32_t vh_chain_state_load(vh_chain * chain, const void * blob, size_t size, vh_error * err) {
  return guarded(err, [&] {
    require(chain, "chain");
    require(blob, "blob");
    chain->chain.load(blob, size);
  });
}

}  // extern "C"
