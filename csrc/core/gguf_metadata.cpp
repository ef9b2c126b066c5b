// Typed access to the metadata of a GgufFile.
#include <gguf.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "core/gguf_file.h"
#include "core/status.h"
#include "core/text.h"

namespace voxhop {
namespace {

constexpr uint64_t kShownElements = 64;

template <typename T>
T load(const std::byte * at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::string type_text(uint32_t type, bool array) {
  const char * name = gguf_type_name(static_cast<gguf_type>(type));
  return array ? std::string("array of ") + name : name;
}

std::string real_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace

std::optional<int64_t> GgufFile::as_integer(const Entry & entry, uint64_t i) {
  switch (entry.type) {
    case GGUF_TYPE_UINT8:
      return load<uint8_t>(entry.at + i);
    case GGUF_TYPE_INT8:
      return load<int8_t>(entry.at + i);
    case GGUF_TYPE_UINT16:
      return load<uint16_t>(entry.at + 2 * i);
    case GGUF_TYPE_INT16:
      return load<int16_t>(entry.at + 2 * i);
    case GGUF_TYPE_UINT32:
      return load<uint32_t>(entry.at + 4 * i);
    case GGUF_TYPE_INT32:
      return load<int32_t>(entry.at + 4 * i);
    case GGUF_TYPE_INT64:
      return load<int64_t>(entry.at + 8 * i);
    case GGUF_TYPE_UINT64: {
      const auto value = load<uint64_t>(entry.at + 8 * i);
      const auto highest = std::numeric_limits<int64_t>::max();
      return value > static_cast<uint64_t>(highest) ? highest : static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<int64_t> GgufFile::find_integer(const std::string & key, int64_t lowest,
                                              int64_t highest) const {
  const Entry * entry = find(key);
  if (entry == nullptr) return std::nullopt;
  const auto value = entry->array ? std::nullopt : as_integer(*entry, 0);
  VH_CHECK(value.has_value(), VH_E_MODEL, "metadata %s: type %s, expected an integer", key.c_str(),
           type_text(entry->type, entry->array).c_str());
  VH_CHECK(*value >= lowest && *value <= highest, VH_E_MODEL,
           "metadata %s: %lld, expected %lld to %lld", key.c_str(), static_cast<long long>(*value),
           static_cast<long long>(lowest), static_cast<long long>(highest));
  return value;
}

int64_t GgufFile::integer(const std::string & key, int64_t lowest, int64_t highest) const {
  const auto value = find_integer(key, lowest, highest);
  VH_CHECK(value.has_value(), VH_E_MODEL, "metadata %s: missing, expected an integer", key.c_str());
  return *value;
}

std::optional<double> GgufFile::find_real(const std::string & key, double lowest,
                                          double highest) const {
  const Entry * entry = find(key);
  if (entry == nullptr) return std::nullopt;
  const bool real = entry->type == GGUF_TYPE_FLOAT32 || entry->type == GGUF_TYPE_FLOAT64;
  VH_CHECK(real && !entry->array, VH_E_MODEL, "metadata %s: type %s, expected f32 or f64",
           key.c_str(), type_text(entry->type, entry->array).c_str());
  const double value = entry->type == GGUF_TYPE_FLOAT32
                           ? static_cast<double>(load<float>(entry->at))
                           : load<double>(entry->at);
  VH_CHECK(std::isfinite(value) && value >= lowest && value <= highest, VH_E_MODEL,
           "metadata %s: %g, expected %g to %g", key.c_str(), value, lowest, highest);
  return value;
}

std::optional<std::string> GgufFile::find_text(const std::string & key) const {
  const Entry * entry = find(key);
  if (entry == nullptr) return std::nullopt;
  VH_CHECK(entry->type == GGUF_TYPE_STRING && !entry->array, VH_E_MODEL,
           "metadata %s: type %s, expected a string", key.c_str(),
           type_text(entry->type, entry->array).c_str());
  const std::byte * at = entry->at;
  return element_text(*entry, at);
}

std::optional<bool> GgufFile::find_boolean(const std::string & key) const {
  const Entry * entry = find(key);
  if (entry == nullptr) return std::nullopt;
  VH_CHECK(entry->type == GGUF_TYPE_BOOL && !entry->array, VH_E_MODEL,
           "metadata %s: type %s, expected a boolean", key.c_str(),
           type_text(entry->type, entry->array).c_str());
  return load<uint8_t>(entry->at) != 0;
}

std::vector<int64_t> GgufFile::integers(const std::string & key, size_t most, int64_t lowest,
                                        int64_t highest) const {
  std::vector<int64_t> values;
  const Entry * entry = find(key);
  if (entry == nullptr) {
    const int64_t count = integer(key + ".count", 0, static_cast<int64_t>(most));
    for (int64_t i = 0; i < count; ++i) {
      values.push_back(integer(key + "." + std::to_string(i), lowest, highest));
    }
    return values;
  }
  VH_CHECK(entry->array && entry->count <= most, VH_E_MODEL,
           "metadata %s: %s of %llu, expected an array of at most %zu integers", key.c_str(),
           type_text(entry->type, entry->array).c_str(),
           static_cast<unsigned long long>(entry->count), most);
  for (uint64_t i = 0; i < entry->count; ++i) {
    const auto value = as_integer(*entry, i);
    VH_CHECK(value.has_value(), VH_E_MODEL, "metadata %s: %s, expected integers", key.c_str(),
             type_text(entry->type, entry->array).c_str());
    VH_CHECK(*value >= lowest && *value <= highest, VH_E_MODEL,
             "metadata %s: element %llu is %lld, expected %lld to %lld", key.c_str(),
             static_cast<unsigned long long>(i), static_cast<long long>(*value),
             static_cast<long long>(lowest), static_cast<long long>(highest));
    values.push_back(*value);
  }
  return values;
}

const GgufFile::Entry & GgufFile::array(const std::string & key, size_t most,
                                        const char * of) const {
  const Entry * entry = find(key);
  VH_CHECK(entry != nullptr, VH_E_MODEL, "metadata %s: missing, expected an array of %s",
           key.c_str(), of);
  VH_CHECK(entry->array && entry->count <= most, VH_E_MODEL,
           "metadata %s: %s of %llu, expected an array of at most %zu %s", key.c_str(),
           type_text(entry->type, entry->array).c_str(),
           static_cast<unsigned long long>(entry->count), most, of);
  return *entry;
}

std::vector<double> GgufFile::reals(const std::string & key, size_t most, double lowest,
                                    double highest) const {
  const Entry & entry = array(key, most, "reals");
  VH_CHECK(entry.type == GGUF_TYPE_FLOAT32 || entry.type == GGUF_TYPE_FLOAT64, VH_E_MODEL,
           "metadata %s: %s, expected f32 or f64", key.c_str(),
           type_text(entry.type, true).c_str());
  std::vector<double> values;
  for (uint64_t i = 0; i < entry.count; ++i) {
    const double value = entry.type == GGUF_TYPE_FLOAT32
                             ? static_cast<double>(load<float>(entry.at + 4 * i))
                             : load<double>(entry.at + 8 * i);
    VH_CHECK(std::isfinite(value) && value >= lowest && value <= highest, VH_E_MODEL,
             "metadata %s: element %llu is %g, expected %g to %g", key.c_str(),
             static_cast<unsigned long long>(i), value, lowest, highest);
    values.push_back(value);
  }
  return values;
}

std::vector<std::string> GgufFile::texts(const std::string & key, size_t most) const {
  const Entry & entry = array(key, most, "strings");
  VH_CHECK(entry.type == GGUF_TYPE_STRING, VH_E_MODEL, "metadata %s: %s, expected strings",
           key.c_str(), type_text(entry.type, true).c_str());
  std::vector<std::string> values;
  const std::byte * at = entry.at;
  for (uint64_t i = 0; i < entry.count; ++i) {
    values.push_back(element_text(entry, at));
  }
  return values;
}

std::string GgufFile::element_text(const Entry & entry, const std::byte *& at) {
  switch (entry.type) {
    case GGUF_TYPE_STRING: {
      const auto length = static_cast<size_t>(load<uint64_t>(at));
      const auto * text = reinterpret_cast<const char *>(at + sizeof(uint64_t));
      at += sizeof(uint64_t) + length;
      return valid_utf8({text, length});
    }
    case GGUF_TYPE_BOOL:
      return load<uint8_t>(at++) != 0 ? "true" : "false";
    case GGUF_TYPE_FLOAT32:
      at += sizeof(float);
      return real_text(static_cast<double>(load<float>(at - sizeof(float))));
    case GGUF_TYPE_FLOAT64:
      at += sizeof(double);
      return real_text(load<double>(at - sizeof(double)));
    default:
      return {};
  }
}

std::string GgufFile::value_text(const std::string & key) const {
  const Entry * entry = find(key);
  if (entry == nullptr) return {};
  const std::byte * at = entry->at;
  const auto element = [&](uint64_t i) {
    const auto integer = as_integer(*entry, i);
    return integer.has_value() ? std::to_string(*integer) : element_text(*entry, at);
  };
  if (!entry->array) return element(0);
  std::string text = "[";
  for (uint64_t i = 0; i < entry->count && i < kShownElements; ++i) {
    text += (i > 0 ? ", " : "") + element(i);
  }
  if (entry->count > kShownElements) {
    text += ", ... " + std::to_string(entry->count) + " in all";
  }
  return text + "]";
}

}  // namespace voxhop
