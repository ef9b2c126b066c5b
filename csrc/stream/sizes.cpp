#include "stream/sizes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/status.h"

namespace voxhop {
namespace {

int64_t quarters(int64_t whole, int64_t of_four) {
  return std::max<int64_t>(1, (whole * of_four + 3) / 4);
}

double cost(const vh_session_figures & figures) {
  return static_cast<double>(std::max<int64_t>(1, figures.macs_per_hop));
}

}  // namespace

Sizes::Sizes(const SessionChoice & choice, const std::vector<SessionHandle> & sessions) {
  const int64_t depth = choice.number("depth"), heads = choice.number("heads");
  VH_CHECK(depth > 0 && heads > 0, VH_E_ARGUMENT,
           "governor: 1, expected 0: this model has no smaller networks inside");
  for (int64_t of_four = 4; of_four > 0; --of_four) {
    const Size size{quarters(depth, of_four), quarters(heads, of_four)};
    const bool new_one =
        sizes_.empty() || size.depth < sizes_.back().depth || size.heads < sizes_.back().heads;
    if (new_one) sizes_.push_back(size);
  }
  vh_session_figures figures{};
  vh_error err{};
  if (vh_session_get_figures(sessions.front().get(), &figures, &err) != VH_OK) {
    fail(err.code, "%s", err.message);
  }
  const double whole = cost(figures);
  for (const SessionHandle & session : sessions) {
    sessions_.push_back(session.get());
    std::vector<Alternative> ladder(1);  // the first is in use
    for (size_t i = 1; i < sizes_.size(); ++i) {
      const std::string b = std::to_string(sizes_[i].depth), h = std::to_string(sizes_[i].heads);
      const vh_option values[] = {{"depth", b.c_str()}, {"heads", h.c_str()}};
      vh_alternative * built = nullptr;
      if (vh_session_build(session.get(), values, 2, &built, &err) != VH_OK) {
        fail(err.code, "%s", err.message);
      }
      ladder.emplace_back(built);
    }
    built_.push_back(std::move(ladder));
  }
  costs_.push_back(1.0);
  for (size_t i = 1; i < sizes_.size(); ++i) {
    vh_alternative_get_figures(built_.front()[i].get(), &figures, nullptr);
    costs_.push_back(cost(figures) / whole);
  }
}

void Sizes::change(size_t to) noexcept {
  if (to == now_) return;
  for (size_t i = 0; i < sessions_.size(); ++i) {
    Alternative & next = built_[i][to];
    vh_session_switch(sessions_[i], next.get(), nullptr);
    std::swap(next, built_[i][now_]);
  }
  now_ = to;
}

}  // namespace voxhop
