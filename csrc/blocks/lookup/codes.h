// Codes: choosing one of K entries per group, and summing what they stand for. Codes are i32
// tensors of one value per group.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <string>

#include "core/hop_builder.h"
#include "core/tensor_store.h"

namespace voxhop {

/// argmax_k <query_g, key_gk> of every group, the lowest k on ties: queries (D G) -> codes (G).
/// `keys`: (D, G K), row g K + k. f32 keys and sums in double in every block set, so that equal
/// queries give equal codes everywhere.
ggml_tensor * nearest_keys(HopBuilder & b, const Weight & keys, int64_t K, ggml_tensor * queries);

/// argmax_k of every group's K scores, the lowest k on ties: (K G) -> codes (G).
ggml_tensor * largest_scores(HopBuilder & b, int64_t K, ggml_tensor * scores);

/// What every group's code stands for.
struct CodeValues {
  std::string name;  // state scope, unique in the model
  Weight values;     // (W, G K), row g K + k
  int64_t K = 0;
};

/// Sum of the groups' values, codes (G) -> (W). A code from K up (255 by convention) was not sent
/// and adds nothing. When no group was sent the frame is lost: the last sum once more, then
/// `kLostDecay` of it per frame. State: the last sum, and whether its frame was lost.
constexpr float kLostDecay = 0.7f;
ggml_tensor * sum_of_codes(HopBuilder & b, const CodeValues & block, ggml_tensor * codes);

/// x as loud as it is heard: as it is where a group was sent and in the first lost frame behind it,
/// then `kLostDecay` of it per frame until nothing is left, and nothing before the first frame.
/// What a sum of nothing means to a network need not be silence. `K` as above, codes (G),
/// x (n, m) -> (n, m). State: how loud, and whether its frame was lost.
ggml_tensor * fade_lost(HopBuilder & b, const std::string & name, int64_t K, ggml_tensor * codes,
                        ggml_tensor * x);

}  // namespace voxhop
