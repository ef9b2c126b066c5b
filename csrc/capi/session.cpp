// The C interface: argument checks and the exception barrier, no logic.
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "blocks/block_set.h"
#include "capi/types.h"
#include "core/c_boundary.h"
#include "core/session.h"
#include "core/status.h"
#include "core/text.h"

struct vh_session {
  vh_session(const voxhop::Engine & engine, const voxhop::PlanOptions & options)
      : session(engine, options) {}
  voxhop::Session session;
};

struct vh_alternative {
  const voxhop::Engine * engine;
  std::unique_ptr<voxhop::Runner> runner;
};

namespace voxhop {
namespace {

constexpr int32_t kMaxThreads = 64;
constexpr size_t kFirstOptionsSize = offsetof(vh_session_options, values);  // of version 1

OptionValues option_values(const vh_option * values, size_t n) {
  OptionValues map;
  if (n > 0) require(values, "options: values");
  for (size_t i = 0; i < n; ++i) {
    require(values[i].name, "options: name");
    require(values[i].value, "options: value");
    map[values[i].name] = values[i].value;
  }
  return map;
}

}  // namespace

PlanOptions plan_options(const vh_session_options * options) {
  PlanOptions plan;
  if (options == nullptr) return plan;
  VH_CHECK(options->struct_size >= kFirstOptionsSize, VH_E_ARGUMENT,
           "options: struct_size %zu, expected %zu (use vh_session_options_init)",
           options->struct_size, sizeof(vh_session_options));
  require(options->kernels, "options: kernels");
  require(options->isa, "options: isa");
  require(options->precision, "options: precision");
  VH_CHECK(options->n_threads >= 1 && options->n_threads <= kMaxThreads, VH_E_ARGUMENT,
           "options: n_threads %d, expected 1 to %d", options->n_threads, kMaxThreads);
  plan.kernels = options->kernels;
  plan.isa = options->isa;
  plan.precision = options->precision;
  plan.n_threads = options->n_threads;
  plan.history_first = as_switch(options->history_first, "options: history_first");
  if (options->struct_size >= sizeof(vh_session_options)) {
    plan.values = option_values(options->values, options->n_values);
  }
  return plan;
}

}  // namespace voxhop

namespace {

using voxhop::guarded;
using voxhop::require;

void check_hop(const vh_session * session, const void * mic, const void * out) {
  require(session, "session");
  require(mic, "mic");
  require(out, "out");
}

}  // namespace

extern "C" {

const char * vh_cpu_isas(void) {
  return voxhop::supported_isas();
}

int32_t vh_model_open(const char * path, vh_model ** out, vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    require(path, "path");
    *out = new vh_model(voxhop::GgufFile::from_path(path));
  });
}

int32_t vh_model_open_memory(const void * data, size_t size, vh_model ** out, vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    require(data, "data");
    *out = new vh_model(voxhop::GgufFile::from_memory(data, size));
  });
}

void vh_model_close(vh_model * model) {
  delete model;
}

int32_t vh_model_get_info(const vh_model * model, vh_model_info * info, vh_error * err) {
  return guarded(err, [&] {
    require(model, "model");
    require(info, "info");
    const voxhop::Engine & engine = model->engine;
    const voxhop::ModelInfo & m = engine.info();
    *info = {m.architecture.c_str(),
             model->name.c_str(),
             m.version,
             m.sample_rate,
             m.hop_samples,
             m.latency_samples,
             voxhop::audio_count(m.inputs),
             m.d_max,
             engine.parameter_count(),
             m.macs_per_hop,
             static_cast<int64_t>(engine.weight_bytes())};
  });
}

size_t vh_model_metadata_count(const vh_model * model) {
  return model == nullptr ? 0 : model->engine.metadata().size();
}

const char * vh_model_metadata_key(const vh_model * model, size_t i) {
  return i < vh_model_metadata_count(model) ? model->engine.metadata()[i].first.c_str() : nullptr;
}

const char * vh_model_metadata_value(const vh_model * model, size_t i) {
  return i < vh_model_metadata_count(model) ? model->engine.metadata()[i].second.c_str() : nullptr;
}

size_t vh_model_tensor_count(const vh_model * model) {
  return model == nullptr ? 0 : model->engine.tensor_records().size();
}

int32_t vh_model_get_tensor(const vh_model * model, size_t i, vh_tensor_info * info,
                            vh_error * err) {
  return guarded(err, [&] {
    require(model, "model");
    require(info, "info");
    const auto & records = model->engine.tensor_records();
    VH_CHECK(i < records.size(), VH_E_ARGUMENT, "tensor %zu, expected less than %zu", i,
             records.size());
    const voxhop::TensorRecord & t = records[i];
    *info = {t.name.c_str(), t.type.c_str(), {t.ne[0], t.ne[1], t.ne[2], t.ne[3]}};
  });
}

const char * vh_model_purpose(const vh_model * model) {
  return model == nullptr ? nullptr : model->engine.info().purpose.c_str();
}

int64_t vh_model_memory(const vh_model * model) {
  if (model == nullptr) return 0;
  const voxhop::ModelInfo & info = model->engine.info();
  return info.skims ? 0 : info.warm_up_hops * info.hop_samples;
}

int64_t vh_model_warm_up(const vh_model * model) {
  if (model == nullptr) return 0;
  const voxhop::ModelInfo & info = model->engine.info();
  return info.warm_up_hops * info.hop_samples;
}

const char * vh_model_precision(const vh_model * model) {
  return model == nullptr ? nullptr : model->engine.info().precision.c_str();
}

size_t vh_model_port_count(const vh_model * model) {
  return model == nullptr ? 0 : voxhop::port_count(model->engine.info());
}

int32_t vh_model_get_port(const vh_model * model, size_t i, vh_port_info * info, vh_error * err) {
  return guarded(err, [&] {
    require(model, "model");
    require(info, "info");
    *info = voxhop::port_info(model->engine.info(), i);
  });
}

size_t vh_model_option_count(const vh_model * model) {
  return model == nullptr ? 0 : model->options.size();
}

int32_t vh_model_get_option(const vh_model * model, size_t i, vh_option_info * info,
                            vh_error * err) {
  return guarded(err, [&] {
    require(model, "model");
    require(info, "info");
    VH_CHECK(i < model->options.size(), VH_E_ARGUMENT, "option %zu, expected less than %zu", i,
             model->options.size());
    const auto & [option, choices] = model->options[i];
    *info = {option.name.c_str(), option.fallback.c_str(),      choices.c_str(),    option.lowest,
             option.highest,      option.while_running ? 1 : 0, option.help.c_str()};
  });
}

void vh_session_options_init(vh_session_options * options) {
  if (options != nullptr) {
    *options = {sizeof(vh_session_options), "auto", "auto", "f32", 1, 0, nullptr, 0};
  }
}

int32_t vh_session_open(const vh_model * model, const vh_session_options * options,
                        vh_session ** out, vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    require(model, "model");
    *out = new vh_session(model->engine, voxhop::plan_options(options));
  });
}

void vh_session_close(vh_session * session) {
  delete session;
}

int32_t vh_session_process_f32(vh_session * session, const float * mic, const float * ref,
                               float * out, int64_t n, vh_error * err) {
  return guarded(err, [&] {
    check_hop(session, mic, out);
    session->session.process(mic, ref, out, n, voxhop::SampleType::kF32);
  });
}

int32_t vh_session_process_s16(vh_session * session, const int16_t * mic, const int16_t * ref,
                               int16_t * out, int64_t n, vh_error * err) {
  return guarded(err, [&] {
    check_hop(session, mic, out);
    session->session.process(mic, ref, out, n, voxhop::SampleType::kS16);
  });
}

int32_t vh_session_process(vh_session * session, const void * const * inputs,
                           void * const * outputs, int32_t sample_type, vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    voxhop::check_arrays(session->session.info(), inputs, outputs);
    session->session.process(inputs, outputs, voxhop::sample_type_of(sample_type));
  });
}

int32_t vh_session_skim(vh_session * session, const void * const * inputs, int32_t sample_type,
                        vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    require(inputs, "inputs");
    session->session.skim(inputs, voxhop::sample_type_of(sample_type));
  });
}

size_t vh_session_port_count(const vh_session * session) {
  return session == nullptr ? 0 : voxhop::port_count(session->session.info());
}

int32_t vh_session_get_port(const vh_session * session, size_t i, vh_port_info * info,
                            vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    require(info, "info");
    *info = voxhop::port_info(session->session.info(), i);
  });
}

int32_t vh_session_prepare(vh_session * session, vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    session->session.prepare();
  });
}

int32_t vh_session_set_comfort_noise(vh_session * session, int32_t on, vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    session->session.set_comfort_noise(voxhop::as_switch(on, "comfort noise"));
  });
}

int32_t vh_session_set_options(vh_session * session, const vh_option * values, size_t n,
                               vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    session->session.set_options(voxhop::option_values(values, n));
  });
}

int32_t vh_session_build(const vh_session * session, const vh_option * values, size_t n,
                         vh_alternative ** out, vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    require(session, "session");
    auto runner = session->session.build(voxhop::option_values(values, n));
    *out = new vh_alternative{&session->session.engine(), std::move(runner)};
  });
}

void vh_alternative_close(vh_alternative * alternative) {
  delete alternative;
}

int32_t vh_session_switch(vh_session * session, vh_alternative * alternative, vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    require(alternative, "alternative");
    VH_CHECK(alternative->engine == &session->session.engine(), VH_E_ARGUMENT,
             "alternative: of another model, expected one of the session's");
    session->session.switch_to(alternative->runner);
  });
}

int32_t vh_alternative_get_figures(const vh_alternative * alternative, vh_session_figures * figures,
                                   vh_error * err) {
  return guarded(err, [&] {
    require(alternative, "alternative");
    require(figures, "figures");
    *figures = voxhop::figures_of(alternative->runner->built.variant->info);
  });
}

int32_t vh_session_get_figures(const vh_session * session, vh_session_figures * figures,
                               vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    require(figures, "figures");
    *figures = voxhop::figures_of(session->session.info());
  });
}

int32_t vh_session_reset(vh_session * session, vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    session->session.reset();
  });
}

size_t vh_session_state_size(const vh_session * session) {
  return session == nullptr ? 0 : session->session.state_size();
}

int32_t vh_session_state_save(const vh_session * session, void * blob, size_t size,
                              vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    require(blob, "blob");
    session->session.save(blob, size);
  });
}

int32_t vh_session_state_load(vh_session * session, const void * blob, size_t size,
                              vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    require(blob, "blob");
    session->session.load(blob, size);
  });
}

size_t vh_session_tap_count(const vh_session * session) {
  return session == nullptr ? 0 : session->session.taps().size();
}

int32_t vh_session_get_tap(const vh_session * session, size_t i, vh_tap_info * info,
                           vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    require(info, "info");
    const auto & taps = session->session.taps();
    VH_CHECK(i < taps.size(), VH_E_ARGUMENT, "tap %zu, expected less than %zu", i, taps.size());
    *info = {taps[i].name.c_str(), ggml_nelements(taps[i].tensor)};
  });
}

int32_t vh_session_read_tap(const vh_session * session, const char * name, float * values,
                            int64_t count, vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    require(name, "name");
    require(values, "values");
    session->session.read_tap(name, values, count);
  });
}

int32_t vh_session_get_info(const vh_session * session, vh_session_info * info, vh_error * err) {
  return guarded(err, [&] {
    require(session, "session");
    require(info, "info");
    const voxhop::Session & s = session->session;
    *info = {s.blocks().name(),
             s.blocks().isa(),
             s.blocks().precision(),
             s.n_threads(),
             s.plan().node_count(),
             static_cast<int64_t>(s.state_bytes()),
             static_cast<int64_t>(s.plan().scratch_bytes())};
  });
}

}  // extern "C"
