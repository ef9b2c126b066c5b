#include "codec/coder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "codec/container.h"
#include "core/status.h"
#include "stream/session_choice.h"

namespace voxhop {
namespace {

SessionHandle open_part(const vh_model & model, const char * part,
                        const vh_session_options * options) {
  VH_CHECK(std::strcmp(vh_model_purpose(&model), "codec") == 0, VH_E_UNSUPPORTED,
           "model: for another purpose (%s), expected a codec", vh_model_purpose(&model));
  vh_session_options chosen = known_session_options(options);
  std::vector<vh_option> values;
  VH_CHECK(options == nullptr || options->struct_size == sizeof chosen, VH_E_ARGUMENT,
           "options: struct_size %zu, expected %zu (use vh_session_options_init)",
           options->struct_size, sizeof chosen);
  VH_CHECK(chosen.n_values == 0, VH_E_ARGUMENT,
           "options: %zu values, expected none: the part is the coder's", chosen.n_values);
  values.push_back({"part", part});
  chosen.values = values.data();
  chosen.n_values = values.size();
  vh_session * session = nullptr;
  vh_error err{};
  const int32_t code = vh_session_open(&model, &chosen, &session, &err);
  VH_CHECK(code == VH_OK, code, "%s", err.message);
  SessionHandle opened(session);
  vh_session_figures figures{};
  vh_session_get_figures(session, &figures, nullptr);
  VH_CHECK(figures.sample_rate == kCodecRate && figures.hop_samples == kCodecFrame,
           VH_E_UNSUPPORTED, "model: frames of %d samples at %d Hz, expected 480 at 24000",
           figures.hop_samples, figures.sample_rate);
  return opened;
}

vh_port_info port(const vh_session & session, size_t i, int32_t count) {
  vh_port_info info{};
  vh_session_get_port(&session, i, &info, nullptr);
  VH_CHECK(info.count == count, VH_E_UNSUPPORTED, "model: %d values of %s, expected %d", info.count,
           info.name, count);
  return info;
}

void check(int32_t code, const vh_error & err) {
  VH_CHECK(code == VH_OK, code, "%s", err.message);
}

// What a saved encoder begins with; a decoder is its session alone.
struct EncoderHead {
  uint32_t magic = 0;
  uint32_t reserved = 0;
  int64_t pending = 0, pushed = 0, done = 0;
};
constexpr uint32_t kEncoderMagic = 0x31455856;  // "VXE1"

void save_session(const vh_session * session, std::byte * blob) {
  vh_error err{};
  check(vh_session_state_save(session, blob, vh_session_state_size(session), &err), err);
}

void load_session(vh_session * session, const std::byte * blob) {
  vh_error err{};
  check(vh_session_state_load(session, blob, vh_session_state_size(session), &err), err);
}

}  // namespace

CodecEncoder::CodecEncoder(const vh_model & model, bool enhance, const vh_session_options * options)
    : session_(open_part(model, enhance ? "front-end" : "encoder", options)),
      frame_(static_cast<size_t>(kCodecFrame)),
      unheard_(static_cast<size_t>(kCodecGroups)) {
  lead_ = port(*session_, 0, static_cast<int32_t>(kCodecFrame)).lead_count;
  port(*session_, 1, static_cast<int32_t>(kCodecGroups));
  vh_session_figures figures{};
  vh_session_get_figures(session_.get(), &figures, nullptr);
  late_ = figures.latency_samples / kCodecFrame;
  pending_ = lead_;
}

int64_t CodecEncoder::frames(int64_t n) const noexcept {
  return std::max<int64_t>(0, done_ + hops(n) - late_) - std::max<int64_t>(0, done_ - late_);
}

template <typename T>
void CodecEncoder::push(const T * pcm, int64_t n, uint8_t * codes) {
  for (int64_t i = 0; i < n; ++i) {
    VH_CHECK(std::isfinite(static_cast<float>(pcm[i])), VH_E_ARGUMENT,
             "pcm: sample %lld is not finite", static_cast<long long>(i));
  }
  const float scale = std::is_same_v<T, int16_t> ? 1.0f / 32768.0f : 1.0f;
  for (int64_t at = 0; at < n;) {
    const int64_t part = std::min(n - at, kCodecFrame - pending_);
    float * to = frame_.data() + pending_;
    for (int64_t i = 0; i < part; ++i) to[i] = scale * static_cast<float>(pcm[at + i]);
    pending_ += part;
    pushed_ += part;
    at += part;
    if (pending_ < kCodecFrame) break;
    const bool heard = done_ >= late_;
    hop(heard ? codes : unheard_.data());
    if (heard) codes += kCodecGroups;
  }
}

template void CodecEncoder::push(const float *, int64_t, uint8_t *);
template void CodecEncoder::push(const int16_t *, int64_t, uint8_t *);

int64_t CodecEncoder::flush_frames() const noexcept {
  return frames_for(pushed_, kCodecRate) - std::max<int64_t>(0, done_ - late_);
}

void CodecEncoder::flush(uint8_t * codes) {
  const int64_t last = frames_for(pushed_, kCodecRate) + late_;
  while (done_ < last) {
    std::fill(frame_.begin() + pending_, frame_.end(), 0.0f);
    const bool heard = done_ >= late_;
    hop(heard ? codes : unheard_.data());
    if (heard) codes += kCodecGroups;
  }
  reset();
}

void CodecEncoder::hop(uint8_t * codes) {
  vh_error err{};
  const void * in = frame_.data();
  void * out = codes;
  check(vh_session_process(session_.get(), &in, &out, VH_SAMPLES_F32, &err), err);
  pending_ = 0;
  ++done_;
}

void CodecEncoder::reset() {
  vh_session_reset(session_.get(), nullptr);
  std::fill(frame_.begin(), frame_.end(), 0.0f);
  pending_ = lead_;
  pushed_ = done_ = 0;
}

size_t CodecEncoder::state_size() const noexcept {
  return sizeof(EncoderHead) + frame_.size() * sizeof(float) +
         vh_session_state_size(session_.get());
}

void CodecEncoder::save_state(std::byte * blob) const {
  const EncoderHead head{kEncoderMagic, 0, pending_, pushed_, done_};
  std::memcpy(blob, &head, sizeof head);
  blob += sizeof head;
  std::memcpy(blob, frame_.data(), frame_.size() * sizeof(float));
  save_session(session_.get(), blob + frame_.size() * sizeof(float));
}

void CodecEncoder::load_state(const std::byte * blob) {
  EncoderHead head;
  std::memcpy(&head, blob, sizeof head);
  VH_CHECK(head.magic == kEncoderMagic, VH_E_STATE, "state: of something else than an encoder");
  const bool fits =
      head.pushed >= 0 && head.done >= 0 && head.done <= (lead_ + head.pushed) / kCodecFrame &&
      head.pending == lead_ + head.pushed - head.done * kCodecFrame && head.pending < kCodecFrame;
  VH_CHECK(fits, VH_E_STATE, "state: damaged (%lld samples make %lld frames and %lld samples)",
           static_cast<long long>(head.pushed), static_cast<long long>(head.done),
           static_cast<long long>(head.pending));
  const std::byte * samples = blob + sizeof head;
  load_session(session_.get(), samples + frame_.size() * sizeof(float));
  std::memcpy(frame_.data(), samples, frame_.size() * sizeof(float));
  pending_ = head.pending;
  pushed_ = head.pushed;
  done_ = head.done;
}

CodecDecoder::CodecDecoder(const vh_model & model, const vh_session_options * options)
    : session_(open_part(model, "decoder", options)) {
  port(*session_, 0, static_cast<int32_t>(kCodecGroups));
}

void CodecDecoder::push(const uint8_t * codes, int64_t frames, int32_t kbps, void * out,
                        int32_t sample_type) {
  const int64_t groups = codec_groups(kbps);
  for (int64_t i = 0; i < frames * kCodecGroups; ++i) {
    VH_CHECK(codes[i] < kCodeValues || codes[i] == kNotSent, VH_E_ARGUMENT,
             "codes: %d in frame %lld, expected 0 to %d, or %d for one that was not sent", codes[i],
             static_cast<long long>(i / kCodecGroups), kCodeValues - 1, kNotSent);
  }
  std::array<uint8_t, kCodecGroups> row;
  for (int64_t t = 0; t < frames; ++t) {
    row.fill(kNotSent);
    std::copy_n(codes + t * kCodecGroups, groups, row.begin());
    hop(row.data(), out, t, sample_type);
  }
}

void CodecDecoder::conceal(int64_t frames, void * out, int32_t sample_type) {
  for (int64_t t = 0; t < frames; ++t) hop(nullptr, out, t, sample_type);
}

void CodecDecoder::reset() {
  vh_session_reset(session_.get(), nullptr);
}

size_t CodecDecoder::state_size() const noexcept {
  return vh_session_state_size(session_.get());
}

void CodecDecoder::save_state(std::byte * blob) const {
  save_session(session_.get(), blob);
}

void CodecDecoder::load_state(const std::byte * blob) {
  load_session(session_.get(), blob);
}

void CodecDecoder::hop(const uint8_t * codes, void * out, int64_t frame, int32_t sample_type) {
  const size_t size = sample_type == VH_SAMPLES_S16 ? sizeof(int16_t) : sizeof(float);
  const void * in = codes;
  void * to = static_cast<char *>(out) + static_cast<size_t>(frame * kCodecFrame) * size;
  vh_error err{};
  check(vh_session_process(session_.get(), &in, &to, sample_type, &err), err);
}

}  // namespace voxhop
