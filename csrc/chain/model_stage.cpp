#include "chain/model_stage.h"

#include <cmath>
#include <cstring>

#include "core/status.h"
#include "stream/model_delay.h"
#include "stream/session_choice.h"

namespace voxhop {
namespace {

constexpr char kRestorer[] = "restorer";  // a purpose whose models know one level only

bool follows(const vh_chain_link & link) {
  if (link.level != VH_LEVEL_AUTO) return link.level == VH_LEVEL_FOLLOW;
  return std::strcmp(vh_model_purpose(link.model), kRestorer) == 0;
}

}  // namespace

ModelStage::ModelStage(const vh_chain_link & link) {
  vh_session * session = nullptr;
  vh_error err{};
  const vh_session_options options = known_session_options(link.session);
  check(vh_session_open(link.model, &options, &session, &err), err);
  session_.reset(session);
  VH_CHECK(makes_audio_of_audio(*session), VH_E_ARGUMENT,
           "link %s: a %s that does not make audio of audio", link.name,
           vh_model_purpose(link.model));
  vh_session_set_comfort_noise(session, link.comfort_noise, nullptr);
  vh_session_figures figures{};
  check(vh_session_get_figures(session, &figures, &err), err);
  clock_.rate = figures.sample_rate;
  clock_.hop = figures.hop_samples;
  clock_.latency = figures.latency_samples;
  clock_.takes_ref = takes_reference(*session);
  lifted_.resize(static_cast<size_t>(clock_.hop));
  align_weights_.resize(static_cast<size_t>(model_delays(*session)));
  if (follows(link)) level_.emplace(clock_.hop, clock_.rate, clock_.latency);
}

bool ModelStage::run(const float * hop, const float * ref, float * out) noexcept {
  ran_ = true;
  const float * in = hop;
  if (level_) {
    level_->lift(hop, lifted_.data());
    in = lifted_.data();
  }
  if (vh_session_process_f32(session_.get(), in, ref, out, clock_.hop, nullptr) != VH_OK) {
    return false;
  }
  if (level_) level_->lower(out, out);
  return true;
}

void ModelStage::reset() noexcept {
  vh_session_reset(session_.get(), nullptr);
  if (level_) level_->reset();
}

void ModelStage::archive(Archive & archive) {
  archive_session(session_.get(), archive);
  if (level_) level_->archive(archive);
}

void ModelStage::set_options(const vh_option * values, size_t n) {
  vh_error err{};
  check(vh_session_set_options(session_.get(), values, n, &err), err);
}

void ModelStage::read_metrics(vh_chain_link_metrics & metrics) noexcept {
  metrics.precision = precision_of(*session_);
  if (level_) metrics.gain_db = level_->gain_db();
  const int64_t hops =
      ran_ ? read_model_delay(session_.get(), align_weights_, &metrics.delay_confidence) : -1;
  if (hops < 0) return;
  metrics.delay_ms =
      1e3 * static_cast<double>(hops * clock_.hop) / static_cast<double>(clock_.rate);
}

}  // namespace voxhop
