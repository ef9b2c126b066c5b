#include "chain/stage.h"

#include "core/status.h"

namespace voxhop {

void Stage::check(int32_t code, const vh_error & err) {
  if (code != VH_OK) fail(code, "%s", err.message);
}

void Stage::archive_session(vh_session * session, Archive & archive) {
  const size_t size = vh_session_state_size(session);
  const Archive::Place at = archive.place(size);
  vh_error err{};
  if (at.to != nullptr) check(vh_session_state_save(session, at.to, size, &err), err);
  if (at.from != nullptr) check(vh_session_state_load(session, at.from, size, &err), err);
}

}  // namespace voxhop
