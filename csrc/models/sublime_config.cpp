#include "models/sublime_config.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"
#include "core/text.h"

namespace voxhop {
namespace {

constexpr int64_t kMaxHop = 1 << 14;
constexpr int64_t kMaxWidth = 1 << 14;
constexpr int64_t kMaxBlocks = 64;
constexpr size_t kMaxWindows = 8;
constexpr int64_t kMaxBands = 16;
constexpr size_t kMaxStages = 8;
constexpr int64_t kMaxKernel = 15;  // bins
constexpr int64_t kMaxTimes = 4;    // frames, as many as kernels take
constexpr int64_t kMaxPhaseOffsets = 1024;
constexpr double kMaxSharpness = 1.0;
constexpr int64_t kMaxGroups = 256;
constexpr int64_t kMaxCodes = 255;  // 255 says that a code was not sent

std::string key(const std::string & name) {
  return "sublime." + name;
}

void expect(const GgufFile & file, const char * name, int64_t expected) {
  file.integer(key(name), expected, expected);
}

std::string text(const GgufFile & file, const char * name) {
  const auto value = file.find_text(key(name));
  VH_CHECK(value.has_value(), VH_E_MODEL, "metadata sublime.%s: missing, expected a string", name);
  return *value;
}

void expect(const GgufFile & file, const char * name, const char * expected) {
  const std::string value = text(file, name);
  VH_CHECK(value == expected, VH_E_MODEL, "metadata sublime.%s: \"%s\", expected \"%s\"", name,
           printable(value).c_str(), expected);
}

double real(const GgufFile & file, const char * name, double lowest, double highest) {
  const auto value = file.find_real(key(name), lowest, highest);
  VH_CHECK(value.has_value(), VH_E_MODEL, "metadata sublime.%s: missing, expected a number", name);
  return *value;
}

// "encoder,decoder" as the file has it; a front-end is "frontend" there.
std::vector<std::string> read_parts(const GgufFile & file) {
  const std::string value = text(file, "parts");
  std::vector<std::string> parts;
  for (size_t at = 0; at <= value.size();) {
    const size_t comma = std::min(value.find(',', at), value.size());
    std::string part = value.substr(at, comma - at);
    if (part == "frontend") part = "front-end";
    const bool known = part == "encoder" || part == "front-end" || part == "decoder";
    VH_CHECK(known && std::count(parts.begin(), parts.end(), part) == 0, VH_E_MODEL,
             "metadata sublime.parts: \"%s\", expected some of encoder, frontend, decoder, each "
             "once, with commas between",
             printable(value).c_str());
    parts.push_back(std::move(part));
    at = comma + 1;
  }
  return parts;
}

// Blocks of "enc", "fe" or "voc": each takes what the one before gives, `joined` of it after
// the first `fast` blocks.
std::vector<SublimeBlock> read_blocks(const GgufFile & file, const std::string & stack, int64_t in,
                                      int64_t fast, int64_t joined) {
  const int64_t count = file.integer(key(stack + ".blocks.count"), 1, kMaxBlocks);
  std::vector<SublimeBlock> blocks;
  for (int64_t i = 0; i < count; ++i) {
    const std::string name = stack + ".blocks." + std::to_string(i);
    if (i == fast) in *= joined;
    SublimeBlock block;
    block.in = file.integer(key(name + ".in"), 1, kMaxWidth);
    block.hidden = file.integer(key(name + ".hidden"), 1, kMaxWidth);
    block.ff = file.integer(key(name + ".ff"), 1, kMaxWidth);
    block.out = file.integer(key(name + ".out"), 1, kMaxWidth);
    VH_CHECK(block.in == in, VH_E_MODEL, "metadata sublime.%s.in: %lld, expected %lld",
             name.c_str(), static_cast<long long>(block.in), static_cast<long long>(in));
    in = block.out;
    blocks.push_back(block);
  }
  return blocks;
}

SublimeStack read_stack(const GgufFile & file, const std::string & stack, int64_t in,
                        int64_t fast) {
  SublimeStack s;
  s.fast = static_cast<size_t>(fast);
  s.blocks = read_blocks(file, stack, in, fast, 2);
  VH_CHECK(s.fast <= s.blocks.size(), VH_E_MODEL,
           "metadata sublime.%s.blocks.count: %zu, expected at least the %lld per mel frame",
           stack.c_str(), s.blocks.size(), static_cast<long long>(fast));
  return s;
}

void read_features(const GgufFile & file, SublimeConfig & c) {
  c.n_fft = file.integers(key("mel.n_fft"), kMaxWindows, 2, kMaxHop);
  c.n_mels = file.integers(key("mel.n_mels"), kMaxWindows, 1, kMaxWidth);
  VH_CHECK(!c.n_fft.empty() && c.n_fft.size() == c.n_mels.size(), VH_E_MODEL,
           "metadata sublime.mel: %zu values of n_fft, %zu of n_mels, expected as many",
           c.n_fft.size(), c.n_mels.size());
  for (const int64_t n : c.n_fft) {
    VH_CHECK(n >= c.mel_hop, VH_E_MODEL,
             "metadata sublime.mel.n_fft: %lld, expected at least mel_hop = %lld",
             static_cast<long long>(n), static_cast<long long>(c.mel_hop));
  }
  c.log_floor = real(file, "mel.log_floor", 1e-30, 1.0);
}

int64_t mel_bands(const SublimeConfig & c) {
  int64_t total = 0;
  for (const int64_t n : c.n_mels) total += n;
  return total;
}

SublimeBand read_band(const GgufFile & file, const std::string & name) {
  SublimeBand band;
  band.start = file.integer(key(name + ".start_bins"), 1, kMaxHop);
  band.end = file.integer(key(name + ".end_bins"), 1, kMaxHop);
  band.kernel_f = file.integer(key(name + ".kernel_f"), 1, kMaxKernel);
  band.kernel_t = file.integer(key(name + ".kernel_t"), 1, kMaxTimes);
  band.upsample = file.integers(key(name + ".upsample"), kMaxStages, 1, kMaxHop);
  int64_t grown = band.start;
  for (const int64_t factor : band.upsample) grown = std::min(grown * factor, kMaxHop + 1);
  VH_CHECK(grown == band.end, VH_E_MODEL,
           "metadata sublime.%s.end_bins: %lld, expected start_bins times upsample = %lld",
           name.c_str(), static_cast<long long>(band.end), static_cast<long long>(grown));
  VH_CHECK(band.kernel_f % 2 == 1, VH_E_MODEL,
           "metadata sublime.%s.kernel_f: %lld, expected an odd number", name.c_str(),
           static_cast<long long>(band.kernel_f));
  return band;
}

void read_decoder(const GgufFile & file, SublimeConfig & c) {
  c.width = file.integer(key("width"), 1, kMaxWidth);
  expect(file, "istft.n_fft", 2 * c.hop);
  expect(file, "istft.window", "sqrt_hann_periodic");
  expect(file, "stft_norm", "ortho");
  c.vocoder = read_blocks(file, "voc", c.width, -1, 1);
  c.features = file.integer(key("voc.features"), 1, kMaxWidth);
  const double expanded = real(file, "voc.expansion", 0.0, 64.0) * static_cast<double>(c.features);
  c.expanded = std::lrint(expanded);
  VH_CHECK(c.expanded >= 1, VH_E_MODEL,
           "metadata sublime.voc.expansion: %g channels from %lld, expected at least one", expanded,
           static_cast<long long>(c.features));
  const int64_t count = file.integer(key("voc.bands.count"), 1, kMaxBands);
  int64_t bins = 0;
  for (int64_t i = 0; i < count; ++i) {
    c.bands.push_back(read_band(file, "voc.bands." + std::to_string(i)));
    bins += c.bands.back().end;
  }
  VH_CHECK(bins == c.hop, VH_E_MODEL,
           "metadata sublime.voc.bands: %lld bins in all, expected hop_length = %lld",
           static_cast<long long>(bins), static_cast<long long>(c.hop));
  c.phase_offsets = file.find_integer(key("voc.phase_offsets"), 0, kMaxPhaseOffsets).value_or(0);
  c.logmag_max = static_cast<float>(real(file, "logmag_max", -80.0, 80.0));
  if (file.has(key("voc.sharpness"))) {
    const std::vector<double> both =
        file.reals(key("voc.sharpness"), c.sharpness.size(), 0.0, kMaxSharpness);
    VH_CHECK(both.size() == c.sharpness.size(), VH_E_MODEL,
             "metadata sublime.voc.sharpness: %zu values, expected 2, of mode A and of both",
             both.size());
    std::copy(both.begin(), both.end(), c.sharpness.begin());
    c.sharpness_bins = file.integer(key("voc.sharpness_bins"), 1, c.hop);
  }
}

}  // namespace

bool SublimeConfig::has(const std::string & part) const {
  return std::count(parts.begin(), parts.end(), part) != 0;
}

SublimeConfig read_sublime_config(const GgufFile & file) {
  SublimeConfig c;
  expect(file, "version", 1);
  c.parts = read_parts(file);
  c.sample_rate = file.integer(key("sample_rate"), 1000, 384000);
  c.hop = file.integer(key("hop_length"), 2, kMaxHop);
  c.mel_hop = c.hop / 2;
  VH_CHECK(c.hop % 2 == 0, VH_E_MODEL, "metadata sublime.hop_length: %lld, expected an even number",
           static_cast<long long>(c.hop));
  c.groups_a = file.integer(key("n_groups_a"), 1, kMaxGroups);
  c.groups = c.groups_a + file.integer(key("n_groups_b"), 0, kMaxGroups);
  c.K = file.integer(key("codebook_size"), 1, kMaxCodes);
  c.rms_eps = static_cast<float>(real(file, "rms_eps", 0.0, 1.0));
  if (c.has("encoder") || c.has("front-end")) {
    expect(file, "mel_hop", c.mel_hop);
    read_features(file, c);
  }
  if (c.has("encoder")) {
    c.query_dim = file.integer(key("query_dim"), 1, kMaxWidth);
    c.encoder = read_stack(file, "enc", mel_bands(c), 1);
  }
  if (c.has("front-end")) {
    const int64_t fast = file.integer(key("fe.stack_after"), 1, kMaxBlocks);
    c.front_end = read_stack(file, "fe", mel_bands(c), fast);
    c.lookahead = file.integer(key("lookahead_frames"), 0, 16);
  }
  if (c.has("decoder")) read_decoder(file, c);
  return c;
}

}  // namespace voxhop
