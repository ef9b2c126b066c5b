#include "models/seflow_config.h"

#include <algorithm>

#include "core/status.h"
#include "core/text.h"

namespace voxhop {
namespace {

constexpr size_t kMaxRates = 64;
constexpr int64_t kMaxBands = 512;
constexpr int64_t kMaxFft = 1 << 16;
constexpr int64_t kMaxBlocks = 96;
constexpr int64_t kMaxHeads = 256;
constexpr int64_t kMaxHeadSize = 1024;
constexpr int64_t kMaxMultiple = 64;
constexpr double kMaxEncoderRmsEps = 1e6;
constexpr int64_t kMaxWindow = 1 << 16;  // hops; 17 minutes

std::string key(const char * name) {
  return std::string("seflow.") + name;
}

void expect_text(const GgufFile & file, const char * name, const char * expected) {
  const std::string value = file.find_text(key(name)).value_or("");
  VH_CHECK(value == expected, VH_E_MODEL, "metadata seflow.%s: \"%s\", expected \"%s\"", name,
           printable(value).c_str(), expected);
}

bool flag(const GgufFile & file, const char * name) {
  const auto value = file.find_boolean(key(name));
  VH_CHECK(value.has_value(), VH_E_MODEL, "metadata seflow.%s: missing, expected a boolean", name);
  return *value;
}

double real(const GgufFile & file, const char * name, double lowest, double highest) {
  const auto value = file.find_real(key(name), lowest, highest);
  VH_CHECK(value.has_value(), VH_E_MODEL, "metadata seflow.%s: missing, expected a number", name);
  return *value;
}

std::vector<int64_t> list(const GgufFile & file, const char * name, size_t count, int64_t lowest,
                          int64_t highest) {
  const std::vector<int64_t> values = file.integers(key(name), count, lowest, highest);
  VH_CHECK(values.size() == count, VH_E_MODEL, "metadata seflow.%s: %zu values, expected %zu", name,
           values.size(), count);
  return values;
}

void read_edges(const GgufFile & file, SeFlowConfig & c) {
  c.n_bands = file.integer(key("n_bands"), 1, kMaxBands);
  c.edges = list(file, "band_edges", static_cast<size_t>(c.n_bands) + 1, 0, kMaxFft);
  VH_CHECK(c.edges[0] == 0, VH_E_MODEL, "metadata seflow.band_edges: starts at %lld, expected 0",
           static_cast<long long>(c.edges[0]));
  for (size_t i = 1; i < c.edges.size(); ++i) {
    VH_CHECK(c.edges[i] > c.edges[i - 1], VH_E_MODEL,
             "metadata seflow.band_edges: %lld after %lld, expected rising edges",
             static_cast<long long>(c.edges[i]), static_cast<long long>(c.edges[i - 1]));
  }
}

void read_rates(const GgufFile & file, SeFlowConfig & c) {
  const std::vector<int64_t> rates = file.integers(key("sample_rates"), kMaxRates, 1000, 384000);
  VH_CHECK(!rates.empty(), VH_E_MODEL, "metadata seflow.sample_rates: empty");
  const std::vector<int64_t> fft = list(file, "n_fft", rates.size(), 2, kMaxFft);
  const std::vector<int64_t> hop = list(file, "hop_length", rates.size(), 1, kMaxFft);
  const std::vector<int64_t> bands = list(file, "bands_per_rate", rates.size(), 1, kMaxBands);
  const std::vector<int64_t> bins = list(file, "bins_per_rate", rates.size(), 1, kMaxFft);
  for (size_t i = 0; i < rates.size(); ++i) {
    const auto rate = static_cast<long long>(rates[i]);
    VH_CHECK(std::count(rates.begin(), rates.end(), rates[i]) == 1, VH_E_MODEL,
             "metadata seflow.sample_rates: %lld twice", rate);
    VH_CHECK(fft[i] == 2 * hop[i] && bins[i] == hop[i] + 1, VH_E_MODEL,
             "seflow at %lld Hz: n_fft %lld, hop_length %lld, bins_per_rate %lld, expected n_fft = "
             "2 hop_length = 2 (bins_per_rate - 1)",
             rate, static_cast<long long>(fft[i]), static_cast<long long>(hop[i]),
             static_cast<long long>(bins[i]));
    if (bands[i] > c.n_bands) continue;  // of a larger file with the same list
    VH_CHECK(c.edges[static_cast<size_t>(bands[i])] == bins[i], VH_E_MODEL,
             "seflow at %lld Hz: %lld bands end at bin %lld, expected bins_per_rate = %lld", rate,
             static_cast<long long>(bands[i]),
             static_cast<long long>(c.edges[static_cast<size_t>(bands[i])]),
             static_cast<long long>(bins[i]));
    c.rates.push_back({rates[i], hop[i], bands[i]});
  }
  VH_CHECK(!c.rates.empty(), VH_E_MODEL,
           "metadata seflow.n_bands: %lld, not enough for any of seflow.sample_rates",
           static_cast<long long>(c.n_bands));
}

}  // namespace

size_t SeFlowConfig::default_rate() const {
  size_t best = 0;
  for (size_t i = 0; i < rates.size(); ++i) {
    if (rates[i].sample_rate == 16000) return i;
    if (rates[i].sample_rate > rates[best].sample_rate) best = i;
  }
  return best;
}

SeFlowConfig read_seflow_config(const GgufFile & file) {
  SeFlowConfig c;
  const int64_t version = file.integer(key("version"), INT64_MIN, INT64_MAX);
  VH_CHECK(version == 1, VH_E_MODEL, "metadata seflow.version: %lld, this build understands 1",
           static_cast<long long>(version));
  expect_text(file, "rope_mode", "neox");
  expect_text(file, "window", "sqrt_hann_periodic");
  expect_text(file, "stft_norm", "ortho");
  VH_CHECK(!flag(file, "attn_gates"), VH_E_MODEL,
           "metadata seflow.attn_gates: true, expected false");
  read_edges(file, c);
  read_rates(file, c);
  c.B = file.integer(key("depth"), 1, kMaxBlocks);
  c.H = file.integer(key("n_heads"), 1, kMaxHeads);
  c.d = file.integer(key("head_dim"), 2, kMaxHeadSize);
  VH_CHECK(c.d % 2 == 0, VH_E_MODEL, "metadata seflow.head_dim: %lld, expected an even number",
           static_cast<long long>(c.d));
  c.C = file.integer(key("time_window"), 1, kMaxWindow);
  c.ffn_mult = file.integer(key("ffn_mult"), 1, kMaxMultiple);
  c.dec_mult = file.integer(key("dec_mult"), 1, kMaxMultiple);
  c.rope_base = real(file, "rope_base", 1.0, 1e12);
  c.rms_eps = static_cast<float>(real(file, "rms_eps", 0.0, 1.0));
  c.encoder_rms_eps = static_cast<float>(
      file.find_real(key("encoder_rms_eps"), 0.0, kMaxEncoderRmsEps).value_or(c.rms_eps));
  c.log_eps = static_cast<float>(real(file, "log_eps", 1e-37, 1.0));
  c.vad = flag(file, "vad");
  return c;
}

}  // namespace voxhop
