#include "chain/codec_stage.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <locale>
#include <sstream>

#include "core/status.h"
#include "stream/session_choice.h"

namespace voxhop {
namespace {

constexpr char kCodec[] = "codec", kPart[] = "part";
constexpr uint8_t kNotSent = 255;
constexpr int64_t kBitsPerCode = 5;

SessionHandle open_part(const vh_chain_link & link, const char * part) {
  vh_session_options options = known_session_options(link.session);
  std::vector<vh_option> values(options.values, options.values + options.n_values);
  for (const vh_option & value : values) {
    VH_CHECK(value.name == nullptr || std::strcmp(value.name, kPart) != 0, VH_E_ARGUMENT,
             "link %s: option part, expected none: a codec has both", link.name);
  }
  values.push_back({kPart, part});
  options.values = values.data();
  options.n_values = values.size();
  vh_session * session = nullptr;
  vh_error err{};
  const int32_t code = vh_session_open(link.model, &options, &session, &err);
  if (code != VH_OK) fail(code, "%s", err.message);
  return SessionHandle(session);
}

// The only input or output.
vh_port_info port_of(const vh_session & session, bool output) {
  vh_port_info found{}, port{};
  for (size_t i = 0; i < vh_session_port_count(&session); ++i) {
    vh_session_get_port(&session, i, &port, nullptr);
    if ((port.is_output != 0) == output) found = port;
  }
  return found;
}

double number(const vh_option & option) {
  std::istringstream text(option.value);
  text.imbue(std::locale::classic());
  double value = 0.0;
  text >> value;
  VH_CHECK(!text.fail() && text.peek() == std::char_traits<char>::eof(), VH_E_ARGUMENT,
           "%s: %s, expected a number", option.name, option.value);
  return value;
}

}  // namespace

void CodecStage::check_kbps(int64_t kbps) {
  VH_CHECK(kbps == 1 || kbps == 6, VH_E_ARGUMENT, "kbps: %lld, expected 1 or 6",
           static_cast<long long>(kbps));
}

CodecStage::CodecStage(const vh_chain_link & link)
    : kbps_(link.kbps), losses_({link.loss, link.burst}, static_cast<uint64_t>(link.seed)) {
  vh_model_info model{};
  vh_error err{};
  check(vh_model_get_info(link.model, &model, &err), err);
  VH_CHECK(std::strcmp(vh_model_purpose(link.model), kCodec) == 0, VH_E_ARGUMENT,
           "link %s: %s, expected a speech codec", link.name, model.architecture);
  encoder_ = open_part(link, link.front_end != 0 ? "front-end" : "encoder");
  decoder_ = open_part(link, "decoder");
  vh_session_figures figures{};
  check(vh_session_get_figures(encoder_.get(), &figures, &err), err);
  // A frame's codes are ready half a frame after its start, and decode to the frame before.
  clock_.rate = figures.sample_rate;
  clock_.hop = figures.hop_samples;
  clock_.lead = port_of(*encoder_, false).lead_count;
  clock_.latency = clock_.hop - clock_.lead + figures.latency_samples;
  late_frames_ = figures.latency_samples / figures.hop_samples;
  codes_.resize(static_cast<size_t>(port_of(*decoder_, false).count));
}

bool CodecStage::run(const float * hop, const float * /*ref*/, float * out) noexcept {
  const void * samples = hop;
  void * coded = codes_.data();
  if (vh_session_process(encoder_.get(), &samples, &coded, VH_SAMPLES_F32, nullptr) != VH_OK) {
    return false;
  }
  if (++hops_ <= late_frames_) {  // no frame of the stream yet
    std::fill_n(out, clock_.hop, 0.0f);
    return true;
  }
  const bool lost = losses_.next_is_lost();
  ++packets_;
  if (lost) ++lost_packets_;
  const int64_t sent = kbps_ * 1000 * clock_.hop / (clock_.rate * kBitsPerCode);
  std::fill(codes_.begin() + sent, codes_.end(), kNotSent);
  const void * packet = lost ? nullptr : codes_.data();
  void * sound = out;
  return vh_session_process(decoder_.get(), &packet, &sound, VH_SAMPLES_F32, nullptr) == VH_OK;
}

void CodecStage::reset() noexcept {
  vh_session_reset(encoder_.get(), nullptr);
  vh_session_reset(decoder_.get(), nullptr);
  losses_.reset();
  hops_ = 0;
}

void CodecStage::archive(Archive & archive) {
  archive_session(encoder_.get(), archive);
  archive_session(decoder_.get(), archive);
  losses_.archive(archive);
  archive.value(hops_);
}

void CodecStage::set_options(const vh_option * values, size_t n) {
  double kbps = static_cast<double>(kbps_);
  PacketLosses::Rule rule = losses_.rule();
  for (size_t i = 0; i < n; ++i) {
    const std::string name = values[i].name;
    double * target = name == "kbps"    ? &kbps
                      : name == "loss"  ? &rule.loss
                      : name == "burst" ? &rule.burst
                                        : nullptr;
    VH_CHECK(target != nullptr, VH_E_ARGUMENT, "%s: of a codec only kbps, loss, burst may change",
             values[i].name);
    *target = number(values[i]);
  }
  VH_CHECK(std::floor(kbps) == kbps && std::abs(kbps) < 1e6, VH_E_ARGUMENT,
           "kbps: %g, expected 1 or 6", kbps);
  check_kbps(static_cast<int64_t>(kbps));
  PacketLosses::check(rule);
  kbps_ = static_cast<int64_t>(kbps);
  losses_.set(rule);
}

void CodecStage::read_metrics(vh_chain_link_metrics & metrics) noexcept {
  metrics.precision = precision_of(*decoder_);
  metrics.packets = packets_;
  metrics.lost_packets = lost_packets_;
}

}  // namespace voxhop
