#include "models/localvqe_config.h"

#include "blocks/tones/tone_canceller.h"
#include "core/status.h"
#include "core/text.h"

namespace voxhop {
namespace {

constexpr int64_t kKernel = 4;  // time and frequency
constexpr int64_t kMaxChannels = 4096;
constexpr int64_t kMaxDelay = 4096;  // hops; 65 s, far beyond any echo
constexpr int64_t kMaxBins = 8192;
constexpr double kLowestNoiseDb = -60.0;
constexpr size_t kMicStages = 6;  // 2 channels and five encoder blocks
constexpr size_t kFarStages = 3;

std::vector<int64_t> read_channels(const GgufFile & file, const std::string & key, size_t stages,
                                   int64_t most_inputs = 2) {
  const std::vector<int64_t> channels = file.integers(key, 64, 1, kMaxChannels);
  VH_CHECK(channels.size() == stages, VH_E_MODEL, "metadata %s: %zu widths, expected %zu",
           key.c_str(), channels.size(), stages);
  VH_CHECK(channels[0] == 2 || channels[0] == most_inputs, VH_E_MODEL,
           "metadata %s: first width %lld, expected %s", key.c_str(),
           static_cast<long long>(channels[0]),
           most_inputs == 2 ? "2 (re, im)" : "2 (re, im), or 4 with those of the echo taken");
  return channels;
}

void check_kernel(const GgufFile & file, const TensorStore & tensors) {
  const Shape shape = tensors.shape("mic_enc1.conv.weight");  // (freq, time, C_in, C_out)
  const int64_t time = file.find_integer("localvqe.kernel_size_h", 1, 64).value_or(shape[1]);
  // Files without kernel_size_w mean "what the tensors have", whatever the default once was.
  const int64_t freq = file.find_integer("localvqe.kernel_size_w", 1, 64).value_or(shape[0]);
  VH_CHECK(time == kKernel && freq == kKernel && shape[1] == time && shape[0] == freq, VH_E_MODEL,
           "localvqe kernel %lld x %lld (time x frequency) with tensors of %lld x %lld, "
           "expected 4 x 4",
           static_cast<long long>(time), static_cast<long long>(freq),
           static_cast<long long>(shape[1]), static_cast<long long>(shape[0]));
}

Shuffle read_shuffle(const GgufFile & file) {
  const std::string name = file.find_text("localvqe.shuffle").value_or("halves");
  if (name == "halves") return Shuffle::kHalves;
  VH_CHECK(name == "interleave", VH_E_MODEL,
           "metadata localvqe.shuffle: \"%s\", expected \"halves\" or \"interleave\"",
           printable(name).c_str());
  return Shuffle::kInterleave;
}

int64_t read_frontend(const GgufFile & file, const LocalVqeConfig & c) {
  const int64_t P =
      file.find_integer("localvqe.frontend.partitions", 0, EchoFilter::kMost).value_or(0);
  if (P == 0) return 0;
  VH_CHECK(P % EchoFilter::kGroup == 0, VH_E_MODEL,
           "metadata localvqe.frontend.partitions: %lld, expected 16, 32 or 48",
           static_cast<long long>(P));
  VH_CHECK(c.hop == EchoFilter::kHop && c.version != 1, VH_E_MODEL,
           "metadata localvqe.frontend.partitions: %lld in a model of version %lld and hop %lld, "
           "expected version 2 or later and hop 256",
           static_cast<long long>(P), static_cast<long long>(c.version),
           static_cast<long long>(c.hop));
  return P;
}

void check_transform(const GgufFile & file, const LocalVqeConfig & c) {
  const int64_t n_fft = file.integer("localvqe.n_fft", 2, 2 * kMaxBins);
  VH_CHECK(n_fft == 2 * c.F && c.hop == c.F, VH_E_MODEL,
           "localvqe n_fft %lld, hop_length %lld, n_freq_bins %lld: expected n_fft = 2 "
           "n_freq_bins = 2 hop_length",
           static_cast<long long>(n_fft), static_cast<long long>(c.hop),
           static_cast<long long>(c.F));
  VH_CHECK(c.F % 32 == 0, VH_E_MODEL,
           "metadata localvqe.n_freq_bins: %lld, expected a multiple of 32 (five halvings)",
           static_cast<long long>(c.F));
}

}  // namespace

Activation LocalVqeConfig::activation() const {
  switch (version) {
    case 1:
      return Activation::kElu;
    case 2:
      return Activation::kRelu6;
    default:
      return Activation::kSilu;
  }
}

LocalVqeConfig read_localvqe_config(const GgufFile & file, const TensorStore & tensors) {
  LocalVqeConfig c;
  c.version = file.find_integer("localvqe.version", INT64_MIN, INT64_MAX).value_or(1);
  VH_CHECK(c.version >= 1 && c.version <= 3, VH_E_MODEL,
           "metadata localvqe.version: %lld, this build understands 1, 2 and 3",
           static_cast<long long>(c.version));
  VH_CHECK(!file.find_boolean("localvqe.daf.standalone").value_or(false), VH_E_MODEL,
           "metadata localvqe.daf.standalone: true; a model of an adaptive filter alone is not "
           "supported");
  VH_CHECK(c.version != 1 || file.find_boolean("localvqe.bn_folded").value_or(true), VH_E_MODEL,
           "metadata localvqe.bn_folded: false, expected batch norms folded into the weights");
  c.sample_rate = file.find_integer("localvqe.sample_rate", 1000, 384000).value_or(16000);
  c.hop = file.integer("localvqe.hop_length", 1, kMaxBins);
  c.F = file.integer("localvqe.n_freq_bins", 1, kMaxBins);
  check_transform(file, c);
  c.d_max = file.integer("localvqe.dmax", 1, kMaxDelay);
  c.h = file.integer("localvqe.align_hidden", 1, kMaxChannels);
  c.H = file.integer("localvqe.bottleneck_hidden", 1, int64_t{1} << 20);
  c.power_law = static_cast<float>(file.find_real("localvqe.power_law_c", 0.0, 1.0).value_or(0.3));
  c.echo_partitions = read_frontend(file, c);
  c.echo_follower = file.find_boolean("localvqe.frontend.follower").value_or(false);
  VH_CHECK(c.echo_partitions > 0 || !c.echo_follower, VH_E_MODEL,
           "metadata localvqe.frontend.follower: true without localvqe.frontend.partitions, "
           "expected both");
  c.cancel_tones = file.find_boolean("localvqe.frontend.tones").value_or(false);
  VH_CHECK(!c.cancel_tones || c.hop == kToneHop, VH_E_MODEL,
           "metadata localvqe.frontend.tones: true with hops of %lld samples, expected %lld",
           static_cast<long long>(c.hop), static_cast<long long>(kToneHop));
  c.mic = read_channels(file, "localvqe.mic_channels", kMicStages, c.echo_partitions > 0 ? 4 : 2);
  c.far = read_channels(file, "localvqe.far_channels", kFarStages);
  c.shuffle = read_shuffle(file);
  c.comfort_noise_db = file.find_real("localvqe.comfort_noise_db", kLowestNoiseDb, 0.0);
  check_kernel(file, tensors);
  return c;
}

}  // namespace voxhop
