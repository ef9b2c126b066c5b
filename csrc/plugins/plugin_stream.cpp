#include "plugin_stream.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <iterator>
#include <limits>

namespace voxhop::plugins {
namespace {

constexpr std::size_t kChunk = 512;  // frames; bounds the interleaved copies

/// The folder of the shared object that holds this function.
std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void *>(&own_folder), &info) == 0 || !info.dli_fname)
    return ".";
  const std::string path = info.dli_fname;
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

void interleave(const float * const * planes, std::size_t channels, std::size_t at, std::size_t n,
                float * out) {
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t i = 0; i < n; ++i) out[i * channels + c] = planes[c][at + i];
  }
}

}  // namespace

PluginStream::PluginStream(std::int32_t channels, std::int32_t ref_channels)
    : channels_(static_cast<std::size_t>(channels)),
      ref_channels_(static_cast<std::size_t>(ref_channels)),
      mic_(kChunk * channels_),
      ref_(kChunk * ref_channels_) {
  std::fill(std::begin(last_), std::end(last_), std::numeric_limits<double>::quiet_NaN());
}

std::unique_ptr<PluginStream> PluginStream::open(const char * who, const std::string & model,
                                                 std::int32_t rate, std::int32_t channels,
                                                 std::int32_t ref_channels) {
  const std::string path = model.empty() ? own_folder() + "/voxhop/model.gguf" : model;
  vh_error err{};
  try {
    std::unique_ptr<PluginStream> opened(new PluginStream(channels, ref_channels));
    vh_model * loaded = nullptr;
    if (vh_model_open(path.c_str(), &loaded, &err) == VH_OK) {
      opened->model_.reset(loaded);
      vh_stream_options options;
      vh_stream_options_init(&options);
      options.sample_rate = rate;
      options.channels = channels;
      options.ref_channels = std::max(ref_channels, 1);
      vh_stream * stream = nullptr;
      if (vh_stream_open(loaded, &options, &stream, &err) == VH_OK) {
        opened->stream_.reset(stream);
        return opened;
      }
    }
  } catch (const std::exception & error) {
    std::fprintf(stderr, "%s: %s\n", who, error.what());
    return nullptr;
  }
  std::fprintf(stderr, "%s: %s\n", who, err.message);
  return nullptr;
}

void PluginStream::process(const float * const * mic, const float * const * ref,
                           float * const * out, std::int64_t frames) {
  const auto all = static_cast<std::size_t>(frames);
  for (std::size_t at = 0; at < all; at += kChunk) {
    const std::size_t n = std::min(kChunk, all - at);
    interleave(mic, channels_, at, n, mic_.data());
    // A plug-in without a reference hears a silent loudspeaker, not a missing one.
    if (ref != nullptr) interleave(ref, ref_channels_, at, n, ref_.data());
    vh_error err{};
    vh_stream_process_f32(stream_.get(), mic_.data(), ref_channels_ ? ref_.data() : nullptr,
                          mic_.data(), static_cast<std::int64_t>(n), &err);
    for (std::size_t c = 0; c < channels_; ++c) {
      for (std::size_t i = 0; i < n; ++i) out[c][at + i] = mic_[i * channels_ + c];
    }
  }
}

void PluginStream::set(std::int32_t control, double value) {
  double & last = last_[control];
  if (value == last) return;
  vh_error err{};
  if (vh_stream_set(stream_.get(), control, value, &err) == VH_OK) last = value;
}

void PluginStream::reset() {
  vh_error err{};
  vh_stream_reset(stream_.get(), &err);
  std::fill(std::begin(last_), std::end(last_), std::numeric_limits<double>::quiet_NaN());
}

}  // namespace voxhop::plugins
