// The C interface of the codec: argument checks and the exception barrier, no logic.
#include <cstring>
#include <memory>

#include "codec/bits.h"
#include "codec/coder.h"
#include "codec/container.h"
#include "core/c_boundary.h"
#include "voxhop.h"

struct vh_codec_encoder {
  vh_codec_encoder(const vh_model & model, bool enhance, const vh_session_options * options)
      : coder(model, enhance, options) {}
  voxhop::CodecEncoder coder;
};

struct vh_codec_decoder {
  vh_codec_decoder(const vh_model & model, const vh_session_options * options)
      : coder(model, options) {}
  voxhop::CodecDecoder coder;
};

namespace {

using voxhop::guarded;
using voxhop::require;

static_assert(VH_CODEC_GROUPS == voxhop::kCodecGroups && VH_CODEC_FRAME == voxhop::kCodecFrame &&
              VH_CODE_NOT_SENT == voxhop::kNotSent);

void check_count(int64_t count, const char * name) {
  VH_CHECK(count >= 0, VH_E_ARGUMENT, "%s: %lld, expected 0 or more", name,
           static_cast<long long>(count));
}

void check_room(int64_t capacity, int64_t needed) {
  VH_CHECK(capacity >= needed, VH_E_SHAPE, "capacity: %lld frames, expected at least %lld",
           static_cast<long long>(capacity), static_cast<long long>(needed));
}

void check_size(size_t size, size_t expected) {
  VH_CHECK(size == expected, VH_E_SHAPE, "data: %zu bytes, expected %zu", size, expected);
}

bool known(int64_t frames, int32_t kbps) {
  return frames >= 0 && (kbps == 1 || kbps == 6);
}

template <typename T>
int32_t push(vh_codec_encoder * encoder, const T * pcm, int64_t n, uint8_t * codes,
             int64_t capacity, int64_t * frames, vh_error * err) {
  return guarded(err, [&] {
    require(encoder, "encoder");
    require(frames, "frames");
    *frames = 0;
    check_count(n, "n");
    if (n == 0) return;
    require(pcm, "pcm");
    const int64_t ready = encoder->coder.frames(n);
    check_room(capacity, ready);
    if (ready > 0) require(codes, "codes");
    encoder->coder.push(pcm, n, codes);
    *frames = ready;
  });
}

template <typename T>
int32_t push(vh_codec_decoder * decoder, const uint8_t * codes, int64_t frames, int32_t kbps,
             T * out, int32_t sample_type, vh_error * err) {
  return guarded(err, [&] {
    require(decoder, "decoder");
    check_count(frames, "frames");
    voxhop::codec_groups(kbps);
    if (frames == 0) return;
    require(codes, "codes");
    require(out, "out");
    decoder->coder.push(codes, frames, kbps, out, sample_type);
  });
}

template <typename T>
int32_t conceal(vh_codec_decoder * decoder, int64_t frames, T * out, int32_t sample_type,
                vh_error * err) {
  return guarded(err, [&] {
    require(decoder, "decoder");
    check_count(frames, "frames");
    if (frames == 0) return;
    require(out, "out");
    decoder->coder.conceal(frames, out, sample_type);
  });
}

template <typename Coder>
int32_t save(const Coder * coder, const char * name, void * blob, size_t size, vh_error * err) {
  return guarded(err, [&] {
    require(coder, name);
    require(blob, "blob");
    const size_t expected = coder->coder.state_size();
    VH_CHECK(size == expected, VH_E_SHAPE, "blob: %zu bytes, expected %zu", size, expected);
    coder->coder.save_state(static_cast<std::byte *>(blob));
  });
}

template <typename Coder>
int32_t load(Coder * coder, const char * name, const void * blob, size_t size, vh_error * err) {
  return guarded(err, [&] {
    require(coder, name);
    require(blob, "blob");
    const size_t expected = coder->coder.state_size();
    VH_CHECK(size == expected, VH_E_SHAPE, "blob: %zu bytes, expected %zu", size, expected);
    coder->coder.load_state(static_cast<const std::byte *>(blob));
  });
}

const uint8_t * octets(const void * data) {
  return static_cast<const uint8_t *>(data);
}

}  // namespace

extern "C" {

int32_t vh_codec_encoder_open(const vh_model * model, int32_t enhance,
                              const vh_session_options * options, vh_codec_encoder ** out,
                              vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    require(model, "model");
    const bool front_end = voxhop::as_switch(enhance, "enhance");
    *out = std::make_unique<vh_codec_encoder>(*model, front_end, options).release();
  });
}

void vh_codec_encoder_close(vh_codec_encoder * encoder) {
  std::unique_ptr<vh_codec_encoder> owner(encoder);
}

int64_t vh_codec_encoder_frames(const vh_codec_encoder * encoder, int64_t n) {
  return encoder == nullptr || n < 0 ? 0 : encoder->coder.frames(n);
}

int32_t vh_codec_encoder_push_f32(vh_codec_encoder * encoder, const float * pcm, int64_t n,
                                  uint8_t * codes, int64_t capacity, int64_t * frames,
                                  vh_error * err) {
  return push(encoder, pcm, n, codes, capacity, frames, err);
}

int32_t vh_codec_encoder_push_s16(vh_codec_encoder * encoder, const int16_t * pcm, int64_t n,
                                  uint8_t * codes, int64_t capacity, int64_t * frames,
                                  vh_error * err) {
  return push(encoder, pcm, n, codes, capacity, frames, err);
}

int32_t vh_codec_encoder_flush(vh_codec_encoder * encoder, uint8_t * codes, int64_t capacity,
                               int64_t * frames, vh_error * err) {
  return guarded(err, [&] {
    require(encoder, "encoder");
    require(frames, "frames");
    *frames = 0;
    require(codes, "codes");
    const int64_t ready = encoder->coder.flush_frames();
    check_room(capacity, ready);
    encoder->coder.flush(codes);
    *frames = ready;
  });
}

int32_t vh_codec_encoder_reset(vh_codec_encoder * encoder, vh_error * err) {
  return guarded(err, [&] {
    require(encoder, "encoder");
    encoder->coder.reset();
  });
}

size_t vh_codec_encoder_state_size(const vh_codec_encoder * encoder) {
  return encoder == nullptr ? 0 : encoder->coder.state_size();
}

int32_t vh_codec_encoder_state_save(const vh_codec_encoder * encoder, void * blob, size_t size,
                                    vh_error * err) {
  return save(encoder, "encoder", blob, size, err);
}

int32_t vh_codec_encoder_state_load(vh_codec_encoder * encoder, const void * blob, size_t size,
                                    vh_error * err) {
  return load(encoder, "encoder", blob, size, err);
}

int32_t vh_codec_decoder_open(const vh_model * model, const vh_session_options * options,
                              vh_codec_decoder ** out, vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    require(model, "model");
    *out = std::make_unique<vh_codec_decoder>(*model, options).release();
  });
}

void vh_codec_decoder_close(vh_codec_decoder * decoder) {
  std::unique_ptr<vh_codec_decoder> owner(decoder);
}

int32_t vh_codec_decoder_push_f32(vh_codec_decoder * decoder, const uint8_t * codes, int64_t frames,
                                  int32_t kbps, float * out, vh_error * err) {
  return push(decoder, codes, frames, kbps, out, VH_SAMPLES_F32, err);
}

int32_t vh_codec_decoder_push_s16(vh_codec_decoder * decoder, const uint8_t * codes, int64_t frames,
                                  int32_t kbps, int16_t * out, vh_error * err) {
  return push(decoder, codes, frames, kbps, out, VH_SAMPLES_S16, err);
}

int32_t vh_codec_decoder_conceal_f32(vh_codec_decoder * decoder, int64_t frames, float * out,
                                     vh_error * err) {
  return conceal(decoder, frames, out, VH_SAMPLES_F32, err);
}

int32_t vh_codec_decoder_conceal_s16(vh_codec_decoder * decoder, int64_t frames, int16_t * out,
                                     vh_error * err) {
  return conceal(decoder, frames, out, VH_SAMPLES_S16, err);
}

int32_t vh_codec_decoder_reset(vh_codec_decoder * decoder, vh_error * err) {
  return guarded(err, [&] {
    require(decoder, "decoder");
    decoder->coder.reset();
  });
}

size_t vh_codec_decoder_state_size(const vh_codec_decoder * decoder) {
  return decoder == nullptr ? 0 : decoder->coder.state_size();
}

int32_t vh_codec_decoder_state_save(const vh_codec_decoder * decoder, void * blob, size_t size,
                                    vh_error * err) {
  return save(decoder, "decoder", blob, size, err);
}

int32_t vh_codec_decoder_state_load(vh_codec_decoder * decoder, const void * blob, size_t size,
                                    vh_error * err) {
  return load(decoder, "decoder", blob, size, err);
}

size_t vh_codec_packed_size(int64_t frames, int32_t kbps) {
  return known(frames, kbps) ? voxhop::packed_size(frames, kbps) : 0;
}

int32_t vh_codec_pack(const uint8_t * codes, int64_t frames, int32_t kbps, void * data, size_t size,
                      vh_error * err) {
  return guarded(err, [&] {
    check_count(frames, "frames");
    check_size(size, voxhop::packed_size(frames, kbps));
    if (frames == 0) return;
    require(codes, "codes");
    require(data, "data");
    voxhop::pack_codes(codes, frames, kbps, static_cast<uint8_t *>(data));
  });
}

int32_t vh_codec_unpack(const void * data, size_t size, int64_t frames, int32_t kbps,
                        uint8_t * codes, vh_error * err) {
  return guarded(err, [&] {
    check_count(frames, "frames");
    check_size(size, voxhop::packed_size(frames, kbps));
    if (frames == 0) return;
    require(data, "data");
    require(codes, "codes");
    voxhop::unpack_codes(octets(data), 0, frames, kbps, codes);
  });
}

int32_t vh_coded_read(const void * data, size_t size, int32_t damaged, vh_coded_info * info,
                      vh_error * err) {
  return guarded(err, [&] {
    require(data, "data");
    require(info, "info");
    const voxhop::CodedFile file =
        voxhop::read_coded(octets(data), size, voxhop::as_switch(damaged, "damaged"));
    *info = {};
    info->kbps = file.kbps;
    info->enhanced = file.enhanced ? 1 : 0;
    info->sample_rate = static_cast<int32_t>(file.sample_rate);
    info->samples = file.samples;
    info->frames = file.frames;
    std::strncpy(info->problem, file.problem.c_str(), sizeof info->problem - 1);
  });
}

int32_t vh_coded_frames(const void * data, size_t size, int64_t first, int64_t frames,
                        uint8_t * codes, vh_error * err) {
  return guarded(err, [&] {
    require(data, "data");
    require(codes, "codes");
    voxhop::coded_frames(octets(data), size, first, frames, codes);
  });
}

size_t vh_coded_size(int64_t frames, int32_t kbps) {
  return known(frames, kbps) ? voxhop::coded_size(frames, kbps) : 0;
}

int32_t vh_coded_write(const vh_coded_info * info, const uint8_t * codes, void * data, size_t size,
                       vh_error * err) {
  return guarded(err, [&] {
    require(info, "info");
    require(codes, "codes");
    require(data, "data");
    check_count(info->frames, "frames");
    voxhop::CodedFile file;
    file.kbps = info->kbps;
    file.enhanced = voxhop::as_switch(info->enhanced, "enhanced");
    file.sample_rate = info->sample_rate;
    file.samples = info->samples;
    file.frames = info->frames;
    check_size(size, voxhop::coded_size(file.frames, file.kbps));
    voxhop::write_coded(file, codes, static_cast<uint8_t *>(data));
  });
}

}  // extern "C"
