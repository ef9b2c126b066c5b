// The whole table of one ISA. Included last by an isa_*.cpp file, after its vector type
// and its Pairs and Quads, unless the ISA takes bf16 and int8 from elsewhere.
#pragma once

#include "kernels/body/align.h"
#include "kernels/body/conv.h"
#include "kernels/body/depthwise.h"
#include "kernels/body/echo_filter.h"
#include "kernels/body/fft.h"
#include "kernels/body/lane_fft.h"
#include "kernels/body/peak.h"
#include "kernels/body/ring.h"
#include "kernels/body/rows.h"
#include "kernels/body/winograd.h"

namespace voxhop::kernels {
namespace {

constexpr KernelTable base_table(const char * isa) {
  KernelTable t;
  t.isa = isa;
  t.width = kWidth;
  t.conv_f32 = {conv<FloatConv<float>>, kMaxOctets};
  t.conv_f16 = {conv<FloatConv<uint16_t>>, kMaxOctets};
  t.norm = norm;
  t.silu_map = silu_map;
  t.halve_bins = halve_bins;
  t.double_bins = double_bins;
  t.sum = sum;
  t.depthwise = depthwise;
  t.winograd3 = {winograd_in<3>, winograd_out<3>};
  t.winograd4 = {winograd_in<4>, winograd_out<4>};
  t.to_f16 = to_f16;
  t.from_f16 = from_f16;
  t.to_bf16 = to_bf16;
  t.to_s8 = to_s8;
  t.align_scores_f32 = align_scores<float>;
  t.align_scores_f16 = align_scores<uint16_t>;
  t.align_mix_f32 = align_mix<float>;
  t.align_mix_f16 = align_mix<uint16_t>;
  t.ring_f32 = {ring_attend<float>, ring_store<float>};
  t.ring_f16 = {ring_attend<uint16_t>, ring_store<uint16_t>};
  t.ring_s8 = {ring_attend<int8_t>, ring_store<int8_t>};
  t.glu = glu;
  t.rms_norm = rms_norm;
  t.dot = dot;
  t.softmax = softmax;
  t.power_law = power_law;
  t.fft_forward = fft_forward;
  t.fft_inverse = fft_inverse;
  t.lane_constrain = lane_constrain;
  t.lane_inverse = lane_inverse;
  t.lane_forward = lane_forward;
  t.echo_predict = echo_predict;
  t.echo_step_add = echo_step<true>;
  t.echo_step_store = echo_step<false>;
  t.echo_settle = echo_settle;
  t.echo_locate = echo_locate;
  t.echo_evidence = echo_evidence;
  t.fma_burst = fma_burst;
  return t;
}

}  // namespace
}  // namespace voxhop::kernels
