// Stock convolution blocks: encoder, skip and sub-pixel upsampling.
#include "blocks/stock_blocks.h"
#include "blocks/stock_ops.h"

namespace voxhop {

ggml_tensor * StockBlocks::conv_block(HopBuilder & b, const ConvBlock & block,
                                      ggml_tensor * x) const {
  ggml_tensor * y = stock::normed(b, block.norm, x);
  y = stock::causal_conv(b, block.name, block.conv, y);
  y = stock::activated(b, block.activation, y);
  return block.residual ? ggml_add(b.ggml(), x, y) : y;
}

ggml_tensor * StockBlocks::concat(HopBuilder & b, ggml_tensor * x, ggml_tensor * y) const {
  return ggml_concat(b.ggml(), x, y, 0);
}

ggml_tensor * StockBlocks::skip(HopBuilder & b, const SkipBlock & block, ggml_tensor * x,
                                ggml_tensor * encoder) const {
  const int64_t C = block.bias.ne[0];
  ggml_tensor * s = ggml_mul_mat(b.ggml(), stock::leaf(b, block.weight, {C, C}),
                                 stock::normed(b, block.norm, encoder));
  s = ggml_add(b.ggml(), s, stock::leaf(b, block.bias, {C}));
  return ggml_add(b.ggml(), x, s);
}

ggml_tensor * StockBlocks::upsample(HopBuilder & b, const UpsampleBlock & block,
                                    ggml_tensor * x) const {
  ggml_tensor * z =
      stock::causal_conv(b, block.name, block.conv, stock::normed(b, block.norm, x));  // (2C, F)
  const int64_t C = block.c_out();
  const int64_t F = z->ne[1];
  ggml_context * g = b.ggml();
  if (block.shuffle == Shuffle::kHalves) {
    z = ggml_view_3d(g, z, C, F, 2, z->nb[1], z->nb[0] * static_cast<size_t>(C), 0);
    z = ggml_cont(g, z);  // (C, F, 2)
  }
  z = ggml_reshape_2d(g, z, C, 2 * F);  // interleaved groups already lie bin after bin
  if (block.scale) z = ggml_mul(g, z, stock::leaf(b, *block.scale, {C}));
  if (block.shift) z = ggml_add(g, z, stock::leaf(b, *block.shift, {C}));
  return stock::activated(b, block.activation, z);
}

}  // namespace voxhop
