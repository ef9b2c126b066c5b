// The C interface of stream groups.
#include "blocks/block_set.h"
#include "capi/types.h"
#include "core/c_boundary.h"
#include "core/session_group.h"

struct vh_group {
  vh_group(const voxhop::Engine & engine, const voxhop::PlanOptions & options, int64_t n_streams)
      : group(engine, options, n_streams) {}
  voxhop::SessionGroup group;
};

namespace {

// A state is about a megabyte: more is a mistake, not a machine.
constexpr int64_t kMaxStreams = 65536;

}  // namespace

extern "C" {

int32_t vh_group_open(const vh_model * model, const vh_session_options * options, int64_t n_streams,
                      vh_group ** out, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(out, "out");
    *out = nullptr;
    voxhop::require(model, "model");
    VH_CHECK(n_streams >= 1 && n_streams <= kMaxStreams, VH_E_ARGUMENT,
             "n_streams %lld, expected 1 to %lld", static_cast<long long>(n_streams),
             static_cast<long long>(kMaxStreams));
    *out = new vh_group(model->engine, voxhop::plan_options(options), n_streams);
  });
}

void vh_group_close(vh_group * group) {
  delete group;
}

int32_t vh_group_process_f32(vh_group * group, const float * mic, const float * ref,
                             const uint8_t * active, float * out, int64_t n, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    voxhop::require(mic, "mic");
    voxhop::require(out, "out");
    group->group.process(mic, ref, active, out, n);
  });
}

int32_t vh_group_process(vh_group * group, const void * const * inputs, const uint8_t * active,
                         void * const * outputs, int32_t sample_type, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    voxhop::check_arrays(group->group.info(), inputs, outputs);
    group->group.process(inputs, outputs, active, voxhop::sample_type_of(sample_type));
  });
}

int32_t vh_group_get_figures(const vh_group * group, vh_session_figures * figures, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    voxhop::require(figures, "figures");
    *figures = voxhop::figures_of(group->group.info());
  });
}

size_t vh_group_port_count(const vh_group * group) {
  return group == nullptr ? 0 : voxhop::port_count(group->group.info());
}

int32_t vh_group_get_port(const vh_group * group, size_t i, vh_port_info * info, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    voxhop::require(info, "info");
    *info = voxhop::port_info(group->group.info(), i);
  });
}

int32_t vh_group_prepare(vh_group * group, const uint8_t * active, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    group->group.prepare(active);
  });
}

int32_t vh_group_reset(vh_group * group, int64_t stream, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    group->group.reset(stream);
  });
}

int32_t vh_group_set_comfort_noise(vh_group * group, int32_t on, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    group->group.set_comfort_noise(voxhop::as_switch(on, "comfort noise"));
  });
}

size_t vh_group_state_size(const vh_group * group) {
  return group == nullptr ? 0 : group->group.state_size();
}

int32_t vh_group_state_save(const vh_group * group, int64_t stream, void * blob, size_t size,
                            vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    voxhop::require(blob, "blob");
    group->group.save(stream, blob, size);
  });
}

int32_t vh_group_state_load(vh_group * group, int64_t stream, const void * blob, size_t size,
                            vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    voxhop::require(blob, "blob");
    group->group.load(stream, blob, size);
  });
}

int32_t vh_group_fork(vh_group * group, int64_t from, int64_t to, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    group->group.fork(from, to);
  });
}

int32_t vh_group_get_info(const vh_group * group, vh_session_info * info, vh_error * err) {
  return voxhop::guarded(err, [&] {
    voxhop::require(group, "group");
    voxhop::require(info, "info");
    const voxhop::SessionGroup & g = group->group;
    *info = {g.blocks().name(),
             g.blocks().isa(),
             g.blocks().precision(),
             g.n_threads(),
             g.plan().node_count(),
             static_cast<int64_t>(g.state_bytes()),
             static_cast<int64_t>(g.plan().scratch_bytes())};
  });
}

}  // extern "C"
