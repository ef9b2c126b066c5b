#include "models/streamfm_config.h"

#include <cmath>
#include <numeric>

#include "core/status.h"
#include "core/text.h"

namespace voxhop {
namespace {

constexpr int64_t kMaxHop = 4096;
constexpr int64_t kMaxWidth = 4096;
constexpr size_t kMaxLevels = 8;
constexpr size_t kMaxSolvers = 64;
constexpr size_t kMaxStages = 16;
constexpr double kSumTolerance = 1e-4;  // numbers stored in f32, or learned
constexpr const char * kTasks[] = {"se", "derev", "codec_pf", "bwe", "stft_pr", "melvoc"};

std::string text(const GgufFile & file, const std::string & key) {
  const auto value = file.find_text(key);
  VH_CHECK(value.has_value(), VH_E_MODEL, "metadata %s: missing, expected a string", key.c_str());
  return *value;
}

double real(const GgufFile & file, const std::string & key, double lowest, double highest) {
  const auto value = file.find_real(key, lowest, highest);
  VH_CHECK(value.has_value(), VH_E_MODEL, "metadata %s: missing, expected a real", key.c_str());
  return *value;
}

void expect(const GgufFile & file, const std::string & key, int64_t expected) {
  file.integer(key, expected, expected);
}

void expect(const GgufFile & file, const std::string & key, const std::string & expected) {
  const std::string found = text(file, key);
  VH_CHECK(found == expected, VH_E_MODEL, "metadata %s: \"%s\", expected \"%s\"", key.c_str(),
           printable(found).c_str(), expected.c_str());
}

Tableau read_tableau(const GgufFile & file, const std::string & name) {
  const std::string key = "streamfm.solver." + name;
  Tableau t;
  t.name = name;
  t.b = file.reals(key + ".b", kMaxStages, -100, 100);
  t.c = file.reals(key + ".c", kMaxStages, 0, 1);
  t.a = file.reals(key + ".a", kMaxStages * kMaxStages, -100, 100);
  const size_t q = t.b.size();
  VH_CHECK(q > 0 && t.c.size() == q && t.a.size() == q * q, VH_E_MODEL,
           "metadata %s: %zu values of a, %zu of b, %zu of c, expected q * q, q and q",
           printable(key).c_str(), t.a.size(), q, t.c.size());
  for (size_t i = 0; i < q; ++i) {
    for (size_t j = i; j < q; ++j) {
      VH_CHECK(t.a[i * q + j] == 0.0, VH_E_MODEL,
               "metadata %s.a: row %zu has a value on or above the diagonal, expected 0",
               printable(key).c_str(), i);
    }
  }
  const double sum = std::accumulate(t.b.begin(), t.b.end(), 0.0);
  VH_CHECK(std::abs(sum - 1.0) <= kSumTolerance, VH_E_MODEL, "metadata %s.b: sum %g, expected 1",
           printable(key).c_str(), sum);
  return t;
}

void read_solvers(const GgufFile & file, StreamFmConfig & c) {
  for (const std::string & name : file.texts("streamfm.solver.names", kMaxSolvers)) {
    c.solvers.push_back(read_tableau(file, name));
  }
  c.default_solver = text(file, "streamfm.solver.default");
  for (const Tableau & t : c.solvers) {
    if (t.name == c.default_solver) return;
  }
  fail(VH_E_MODEL, "metadata streamfm.solver.default: \"%s\" is not in streamfm.solver.names",
       printable(c.default_solver).c_str());
}

void read_task(const GgufFile & file, StreamFmConfig & c) {
  const std::string task = text(file, "streamfm.task");
  bool known = false;
  for (const char * name : kTasks) {
    known = known || task == name;
  }
  VH_CHECK(known, VH_E_MODEL,
           "metadata streamfm.task: \"%s\", expected se, derev, codec_pf, bwe, stft_pr or melvoc",
           printable(task).c_str());
  if (task == "stft_pr") c.task = FmTask::kPhase;
  if (task == "melvoc") c.task = FmTask::kMel;
  const std::string window = text(file, "streamfm.window");
  c.root_window = window == "sqrt_hann_periodic";
  VH_CHECK(c.root_window || window == "hann_periodic", VH_E_MODEL,
           "metadata streamfm.window: \"%s\", expected sqrt_hann_periodic or hann_periodic",
           printable(window).c_str());
  c.predictor = file.find_boolean("streamfm.has_predictor").value_or(false);
  expect(file, "streamfm.condition", c.predictor ? "e_and_y" : "y");
  c.in_channels = c.predictor ? 6 : 4;
  expect(file, "streamfm.in_channels", c.in_channels);
}

void read_network(const GgufFile & file, StreamFmConfig & c) {
  c.nf = file.integer("streamfm.nf", 1, kMaxWidth);
  for (const int64_t m : file.integers("streamfm.ch_mult", kMaxLevels, 1, 64)) {
    c.widths.push_back(c.nf * m);
  }
  VH_CHECK(!c.widths.empty(), VH_E_MODEL, "metadata streamfm.ch_mult: empty");
  c.blocks = file.integer("streamfm.num_res_blocks", 1, 8);
  c.time_dilation = file.integer("streamfm.time_dilation", 1, 16);
  c.rank = file.integer("streamfm.decoupled_rank", 0, 9);
  expect(file, "streamfm.freq_groups", 4);
  expect(file, "streamfm.min_freq_for_groups", 16);
  const std::vector<double> fir = file.reals("streamfm.fir_kernel", 4, 0, 8);
  VH_CHECK((fir == std::vector<double>{1, 3, 3, 1}), VH_E_MODEL,
           "metadata streamfm.fir_kernel: %s, expected [1, 3, 3, 1]",
           file.value_text("streamfm.fir_kernel").c_str());
  const int64_t deepest = int64_t{1} << (c.levels() - 1);
  VH_CHECK(c.F % (4 * deepest) == 0 || c.F / deepest < 16, VH_E_MODEL,
           "metadata streamfm.n_freq_bins: %lld, expected a multiple of %lld",
           static_cast<long long>(c.F), static_cast<long long>(4 * deepest));
  VH_CHECK(c.F % deepest == 0, VH_E_MODEL,
           "metadata streamfm.n_freq_bins: %lld, expected a multiple of %lld",
           static_cast<long long>(c.F), static_cast<long long>(deepest));
}

/// Optional: a noise whose spread follows the damaged spectrum.
void read_spread(const GgufFile & file, StreamFmConfig & c) {
  if (!file.has("streamfm.spread_bands")) return;
  c.spread_bands = file.integer("streamfm.spread_bands", 1, c.F);
  VH_CHECK(c.F % c.spread_bands == 0, VH_E_MODEL,
           "metadata streamfm.spread_bands: %lld, expected a divisor of %lld",
           static_cast<long long>(c.spread_bands), static_cast<long long>(c.F));
  c.spread_frames = file.integer("streamfm.spread_frames", 1, 64);
  c.spread_hidden = file.integer("streamfm.spread_hidden", 1, kMaxWidth);
}

}  // namespace

const Tableau & StreamFmConfig::solver(const std::string & name) const {
  std::string known;
  for (const Tableau & t : solvers) {
    if (t.name == name) return t;
    known += (known.empty() ? "" : ", ") + t.name;
  }
  fail(VH_E_ARGUMENT, "solver: \"%s\", expected one of: %s", printable(name).c_str(),
       printable(known).c_str());
}

StreamFmConfig read_streamfm_config(const GgufFile & file, const TensorStore & tensors) {
  StreamFmConfig c;
  expect(file, "streamfm.version", 1);
  expect(file, "streamfm.stft_norm", "ortho");
  c.sample_rate = file.integer("streamfm.sample_rate", 8000, 48000);
  c.F = file.integer("streamfm.hop_length", 16, kMaxHop);
  expect(file, "streamfm.n_fft", 2 * c.F);
  expect(file, "streamfm.n_freq_bins", c.F);
  c.exponent = real(file, "streamfm.compress_exponent", 0.1, 1);
  c.scale = real(file, "streamfm.compress_scale", 1e-6, 1e6);
  c.input_gain_db = file.find_real("streamfm.input_gain_db", -60, 60).value_or(0.0);
  if (!tensors.has("sigma_y")) c.sigma_y = real(file, "streamfm.sigma_y", 0, 100);
  read_task(file, c);
  read_spread(file, c);
  read_network(file, c);
  read_solvers(file, c);
  return c;
}

}  // namespace voxhop
