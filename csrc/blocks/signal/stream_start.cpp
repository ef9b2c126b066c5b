#include "blocks/signal/stream_start.h"

#include <cstring>

namespace voxhop {
namespace {

class StreamStartOp final : public CustomOp {
 public:
  explicit StreamStartOp(ExclusiveSlot started) : started_(started) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * started = started_.in<int32_t>(context);
    std::memcpy(dst->data, dst->src[0]->data, ggml_nbytes(dst));
    if (*started == 0) std::memset(dst->data, 0, dst->nb[1]);
    *started = 1;
  }

 private:
  ExclusiveSlot started_;
};

}  // namespace

ggml_tensor * silent_before_start(HopBuilder & b, const std::string & name, ggml_tensor * x) {
  const auto started = b.exclusive(name + ".started", sizeof(int32_t));
  return b.custom(std::make_unique<StreamStartOp>(started), {x->ne[0], x->ne[1]}, {x});
}

}  // namespace voxhop
