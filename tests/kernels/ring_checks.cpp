// Attention over rings, root mean square norms, gates, and products with a part of a matrix.
#include <algorithm>

#include "checks.h"
#include "kernels/pack.h"

namespace voxhop::kernels {
namespace {

template <class T>
double stored(T value, float scale) {
  if constexpr (sizeof(T) == 2) return from_half(value);
  return double{scale} * static_cast<double>(value);
}

// Slots are stored one by one into rings of every shape, read back, and attended to.
template <class T>
void check_ring(const KernelTable & table, const RingKernel & kernel, const char * name,
                double rounding, Report & report) {
  const int width = table.width;
  for (const int d : {2, 6, 16, 24, 64, 66}) {
    for (const int slots : {1, 3, 16, 33, 80}) {
      const int row = (d + width - 1) / width * width;
      const int padded = (slots + width - 1) / width * width;
      const auto n = static_cast<size_t>(padded * row);
      Random random(static_cast<unsigned>(d * 100 + slots));
      std::vector<T> keys(n), values(n);
      std::vector<float> key_scales(static_cast<size_t>(padded)), value_scales(key_scales);
      Unaligned<float> query(static_cast<size_t>(d)), key(static_cast<size_t>(d)),
          value(static_cast<size_t>(d)), scores(static_cast<size_t>(padded)),
          out(static_cast<size_t>(row));
      random.fill(query.data(), static_cast<size_t>(d));
      double storing = 0.0;
      for (int slot = 0; slot < slots; ++slot) {
        random.fill(key.data(), static_cast<size_t>(d));
        random.fill(value.data(), static_cast<size_t>(d));
        kernel.store({key.data(), value.data(), keys.data(), key_scales.data(), values.data(),
                      value_scales.data(), d, row, slot});
        for (int i = 0; i < d; ++i) {
          const auto at = static_cast<size_t>((slot / width * d + i) * width + slot % width);
          const auto s = static_cast<size_t>(slot);
          const double k = stored(keys[at], sizeof(T) == 1 ? key_scales[s] : 1.0f);
          const double v = stored(values[static_cast<size_t>(slot * row + i)],
                                  sizeof(T) == 1 ? value_scales[s] : 1.0f);
          storing = std::fmax(storing, std::fabs(k - key[static_cast<size_t>(i)]));
          storing = std::fmax(storing, std::fabs(v - value[static_cast<size_t>(i)]));
        }
      }
      RingArgs a;
      a.query = query.data();
      a.keys = keys.data();
      a.key_scales = key_scales.data();
      a.values = values.data();
      a.value_scales = value_scales.data();
      a.slots = slots;
      a.d = d;
      a.row = row;
      a.scores = scores.data();
      a.out = out.data();
      kernel.attend(a);
      std::vector<double> weight;
      double total = 0.0, worst = 0.0;
      for (int slot = 0; slot < slots; ++slot) {
        double sum = 0.0;
        for (int i = 0; i < d; ++i) {
          const auto at = static_cast<size_t>((slot / width * d + i) * width + slot % width);
          const float scale = sizeof(T) == 1 ? key_scales[static_cast<size_t>(slot)] : 1.0f;
          sum += double{query[static_cast<size_t>(i)]} * stored(keys[at], scale);
        }
        weight.push_back(std::exp(sum));
        total += weight.back();
      }
      for (int i = 0; i < d; ++i) {
        double sum = 0.0;
        for (int slot = 0; slot < slots; ++slot) {
          const float scale = sizeof(T) == 1 ? value_scales[static_cast<size_t>(slot)] : 1.0f;
          sum += weight[static_cast<size_t>(slot)] *
                 stored(values[static_cast<size_t>(slot * row + i)], scale);
        }
        worst = std::fmax(worst, std::fabs(sum / total - out[static_cast<size_t>(i)]));
      }
      const std::string what = std::string(table.isa) + " ring " + name + " " + std::to_string(d) +
                               "x" + std::to_string(slots);
      report.check(what + " stored", storing, rounding);
      report.check(what, worst, 4e-5);
    }
  }
}

void check_norms(const KernelTable & table, Report & report) {
  for (const int channels : {1, 6, 17, 64, 100}) {
    const int rows = 3;
    const auto n = static_cast<size_t>(rows * channels);
    Random random(static_cast<unsigned>(channels));
    Unaligned<float> x(n), y(n), gain(static_cast<size_t>(channels));
    random.fill(x.data(), n);
    random.fill(gain.data(), static_cast<size_t>(channels));
    table.rms_norm({x.data(), rows, channels, gain.data(), 1e-3f, y.data()});
    double worst = 0.0, gated = 0.0;
    for (int row = 0; row < rows; ++row) {
      double square = 0.0;
      for (int c = 0; c < channels; ++c) {
        square += std::pow(double{x[static_cast<size_t>(row * channels + c)]}, 2);
      }
      const double scale = 1.0 / std::sqrt(square / channels + double{1e-3f});
      for (int c = 0; c < channels; ++c) {
        const auto at = static_cast<size_t>(row * channels + c);
        worst = std::fmax(worst, std::fabs(x[at] * scale * gain[static_cast<size_t>(c)] - y[at]));
      }
    }
    report.check(std::string(table.isa) + " rms norm " + std::to_string(channels), worst,
                 64.0 * kUnit);
    table.glu(x.data(), gain.data(), y.data(), channels);
    for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
      gated = std::fmax(gated, std::fabs(x[c] / (1.0 + std::exp(-double{gain[c]})) - y[c]));
    }
    report.check(std::string(table.isa) + " glu " + std::to_string(channels), gated, 16.0 * kUnit);
  }
}

// The first inputs of a packed matrix, with every activation.
void check_prefix(const KernelTable & table, Report & report) {
  const int packed = 40, outputs = 52, columns = 5;
  for (const int inputs : {8, 40}) {
    for (const Act act : {Act::kNone, Act::kGelu, Act::kTanh, Act::kSigmoid}) {
      Random random(static_cast<unsigned>(inputs));
      const WeightMatrix w(packed, outputs,
                           [&](int, int) { return double{static_cast<float>(random())}; });
      std::vector<float> weights(packed_count(packed, outputs));
      pack_f32(packed, outputs, table.conv_f32.max_octets, w, weights.data());
      Unaligned<float> x(static_cast<size_t>(inputs * columns)),
          out(static_cast<size_t>(outputs * columns));
      random.fill(x.data(), static_cast<size_t>(inputs * columns));
      ConvArgs a;
      a.taps[0] = x.data();
      a.n_taps = a.weight_taps = 1;
      a.patch = a.step = inputs;
      a.packed_patch = packed;
      a.weights = weights.data();
      a.c_out = a.out_step = outputs;
      a.end = columns;
      a.act = act;
      a.out = out.data();
      table.conv_f32.run(a);
      double worst = 0.0;
      for (int column = 0; column < columns; ++column) {
        for (int c = 0; c < outputs; ++c) {
          double sum = 0.0;
          for (int k = 0; k < inputs; ++k) {
            sum += x[static_cast<size_t>(column * inputs + k)] * w.row(k)[c];
          }
          worst = std::fmax(worst, std::fabs(activated(sum, act) -
                                             out[static_cast<size_t>(column * outputs + c)]));
        }
      }
      report.check(std::string(table.isa) + " prefix " + std::to_string(inputs), worst, 1e-5);
    }
  }
}

// The same in int8, where each column has a scale of its own: exact but for the last rounding.
void check_prefix_s8(const KernelTable & table, Report & report) {
  const int packed = 40, outputs = 52, columns = 5, inputs = 24;
  Random random(3);
  const WeightMatrix w(packed, outputs,
                       [&](int, int) { return double{static_cast<float>(random())}; });
  const size_t padded = packed_count(1, outputs);
  std::vector<int8_t> weights(packed_count(packed, outputs));
  std::vector<float> unit(padded), scale(static_cast<size_t>(columns));
  std::vector<int32_t> whole(padded), offset(padded);
  pack_s8(w, table.conv_s8.max_octets, 1, weights.data(), unit.data(), whole.data());
  prefix_offset_s8(weights.data(), packed, outputs, table.conv_s8.max_octets, inputs,
                   offset.data());
  const auto n = static_cast<size_t>(inputs * columns);
  std::vector<int8_t> x(n);
  Unaligned<float> row(static_cast<size_t>(inputs)), out(static_cast<size_t>(outputs * columns));
  for (int column = 0; column < columns; ++column) {
    random.fill(row.data(), static_cast<size_t>(inputs));
    for (int k = 0; k < inputs; ++k) row[static_cast<size_t>(k)] *= static_cast<float>(column + 1);
    scale[static_cast<size_t>(column)] =
        table.to_s8(row.data(), x.data() + column * inputs, inputs);
  }
  ConvArgs a;
  a.taps[0] = x.data();
  a.n_taps = a.weight_taps = 1;
  a.patch = a.step = inputs;
  a.packed_patch = packed;
  a.weights = weights.data();
  a.channel_scale = unit.data();
  a.offset = offset.data();
  const float one = 1.0f;
  a.tap_scale = &one;
  a.bin_scale = scale.data();
  a.c_out = a.out_step = outputs;
  a.end = columns;
  a.out = out.data();
  table.conv_s8.run(a);
  double worst = 0.0;
  for (int column = 0; column < columns; ++column) {
    for (int c = 0; c < outputs; ++c) {
      const double of_c = unit[static_cast<size_t>(c)];
      double sum = 0.0;
      for (int k = 0; k < inputs; ++k) {
        sum += std::round(w.row(k)[c] / of_c) * x[static_cast<size_t>(column * inputs + k)];
      }
      const double expected = sum * of_c * double{scale[static_cast<size_t>(column)]};
      worst =
          std::fmax(worst, std::fabs(expected - out[static_cast<size_t>(column * outputs + c)]));
    }
  }
  report.check(std::string(table.isa) + " int8 prefix", worst, 1e-5);
}

}  // namespace

void check_rings(const KernelTable & table, Report & report) {
  check_ring<float>(table, table.ring_f32, "f32", 0.0, report);
  check_ring<uint16_t>(table, table.ring_f16, "f16", 2e-3, report);
  check_ring<int8_t>(table, table.ring_s8, "int8", 0.02, report);
  check_norms(table, report);
  check_prefix(table, report);
  check_prefix_s8(table, report);
}

}  // namespace voxhop::kernels
