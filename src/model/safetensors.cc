#include "model/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "model/json_file.h"

namespace inferno::model {

namespace json = boost::json;

namespace {

using kernel::TensorType;

struct TypeRow {
  SafetensorsType type;
  std::string_view name;
  uint64_t width;
  std::optional<TensorType> tensor_type;
};

constexpr TypeRow kTypes[] = {
    {SafetensorsType::kF64, "F64", 8, TensorType::kF64},
    {SafetensorsType::kF32, "F32", 4, TensorType::kF32},
    {SafetensorsType::kF16, "F16", 2, TensorType::kF16},
    {SafetensorsType::kBF16, "BF16", 2, TensorType::kBF16},
    {SafetensorsType::kF8E4M3, "F8_E4M3", 1, std::nullopt},
    {SafetensorsType::kF8E5M2, "F8_E5M2", 1, std::nullopt},
    {SafetensorsType::kI64, "I64", 8, TensorType::kI64},
    {SafetensorsType::kI32, "I32", 4, TensorType::kI32},
    {SafetensorsType::kI16, "I16", 2, TensorType::kI16},
    {SafetensorsType::kI8, "I8", 1, TensorType::kI8},
    {SafetensorsType::kU64, "U64", 8, std::nullopt},
    {SafetensorsType::kU32, "U32", 4, std::nullopt},
    {SafetensorsType::kU16, "U16", 2, std::nullopt},
    {SafetensorsType::kU8, "U8", 1, std::nullopt},
    {SafetensorsType::kBool, "BOOL", 1, std::nullopt},
};

const TypeRow& row_of(SafetensorsType type) {
  return *std::ranges::find(kTypes, type, &TypeRow::type);
}

// A whole number that is not negative, as JSON spells it.
std::optional<uint64_t> whole_number(const json::value& value) {
  if (const uint64_t* number = value.if_uint64()) return *number;
  const int64_t* number = value.if_int64();
  if (number == nullptr || *number < 0) return std::nullopt;
  return static_cast<uint64_t>(*number);
}

// Where in the data section an entry lies.
struct Extent {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// What one header entry is called in errors, and where its bytes may be.
struct EntryContext {
  std::string_view label;
  uint64_t data_bytes;
};

Result<void> read_type(SafetensorsEntry& entry, const json::object& fields,
                       const EntryContext& context) {
  const json::value* value = fields.if_contains("dtype");
  const json::string* name = value == nullptr ? nullptr : value->if_string();
  if (name == nullptr) {
    return fail(Fault::kCorrupt, "{}: tensor '{}': field 'dtype' must be a string", context.label,
                entry.name);
  }
  const auto* row = std::ranges::find(kTypes, std::string_view(*name), &TypeRow::name);
  if (row == std::end(kTypes)) {
    return fail(Fault::kCorrupt, "{}: tensor '{}': field 'dtype' is '{}', which is not known",
                context.label, entry.name, std::string_view(*name));
  }
  entry.type = row->type;
  return {};
}

Result<void> read_lengths(SafetensorsEntry& entry, const json::object& fields,
                          const EntryContext& context) {
  const json::value* value = fields.if_contains("shape");
  const json::array* lengths = value == nullptr ? nullptr : value->if_array();
  if (lengths == nullptr || lengths->size() > kMaxSafetensorsDimensions) {
    return fail(Fault::kCorrupt,
                "{}: tensor '{}': field 'shape' must be an array, limit {} entries", context.label,
                entry.name, kMaxSafetensorsDimensions);
  }
  constexpr uint64_t kMaxElements = std::numeric_limits<int64_t>::max() / 8;  // the widest dtype
  uint64_t elements = 1;  // of the lengths that are not zero
  bool is_empty = false;
  for (const json::value& item : *lengths) {
    const std::optional<uint64_t> length = whole_number(item);
    if (!length || *length > kMaxElements / elements) {
      return fail(Fault::kCorrupt,
                  "{}: tensor '{}': field 'shape' has an entry that is not a whole number up to {}",
                  context.label, entry.name, kMaxElements / elements);
    }
    if (*length == 0) {
      is_empty = true;
    } else {
      elements *= *length;
    }
    entry.shape.push_back(static_cast<int64_t>(*length));
  }
  entry.bytes = is_empty ? 0 : elements * row_of(entry.type).width;
  return {};
}

Result<Extent> read_extent(const SafetensorsEntry& entry, const json::object& fields,
                           const EntryContext& context) {
  const json::value* value = fields.if_contains("data_offsets");
  const json::array* pair = value == nullptr ? nullptr : value->if_array();
  const bool is_pair = pair != nullptr && pair->size() == 2;
  const std::optional<uint64_t> begin = is_pair ? whole_number((*pair)[0]) : std::nullopt;
  const std::optional<uint64_t> end = is_pair ? whole_number((*pair)[1]) : std::nullopt;
  if (!begin || !end || *begin > *end || *end > context.data_bytes) {
    return fail(Fault::kCorrupt,
                "{}: tensor '{}': field 'data_offsets' must be [begin, end] in ascending order, "
                "limit {} bytes of data",
                context.label, entry.name, context.data_bytes);
  }
  if (*end - *begin != entry.bytes) {
    return fail(Fault::kCorrupt,
                "{}: tensor '{}': field 'data_offsets' spans {} bytes, {} of {} take {}",
                context.label, entry.name, *end - *begin, shape_text(entry.shape),
                name_of(entry.type), entry.bytes);
  }
  return Extent{*begin, *end};
}

// Checks that extents, in any order, cover [0, data_bytes) once; sorts the entries by them.
Result<void> check_cover(std::vector<std::pair<Extent, SafetensorsEntry>>& placed,
                         const EntryContext& context) {
  std::ranges::sort(placed, [](const auto& a, const auto& b) {
    return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
  });
  uint64_t covered = 0;
  for (const auto& [extent, entry] : placed) {
    if (extent.begin != covered) {
      return fail(
          Fault::kCorrupt,
          "{}: tensor '{}': field 'data_offsets' begins at {}, must be {}: tensors may neither "
          "overlap nor leave a hole",
          context.label, entry.name, extent.begin, covered);
    }
    covered = extent.end;
  }
  if (covered != context.data_bytes) {
    return fail(Fault::kCorrupt, "{}: tensors cover {} bytes of data, the file has {}",
                context.label, covered, context.data_bytes);
  }
  return {};
}

// Whether an index may name a shard so: a plain file name, which cannot lead out of the folder.
bool is_plain_name(std::string_view name) {
  return name.ends_with(".safetensors") && name.front() != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

}  // namespace

std::string_view name_of(SafetensorsType type) {
  return row_of(type).name;
}

std::optional<TensorType> tensor_type_of(SafetensorsType type) {
  return row_of(type).tensor_type;
}

Result<void> Safetensors::add(std::span<const uint8_t> bytes, std::string_view label) {
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof(header_bytes)) {
    return fail(Fault::kCorrupt, "{}: header length needs 8 bytes, the file has {}", label,
                bytes.size());
  }
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  const uint64_t limit = std::min(kMaxSafetensorsHeaderBytes, bytes.size() - sizeof(header_bytes));
  if (header_bytes > limit) {
    return fail(Fault::kCorrupt, "{}: header length is {}, limit {}", label, header_bytes, limit);
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes);
  if (!text.starts_with('{')) {
    return fail(Fault::kCorrupt, "{}: header must begin with {{", label);
  }
  const Result<json::object> header = parse_json_object(text, fmt::format("{}: header", label));
  if (!header) return std::unexpected(header.error());
  const std::span<const uint8_t> data = bytes.subspan(8 + header_bytes);
  const EntryContext context{label, data.size()};
  std::vector<std::pair<Extent, SafetensorsEntry>> placed;
  for (const auto& member : *header) {
    const std::string_view name = member.key();
    if (name == "__metadata__") continue;
    const json::object* fields = member.value().if_object();
    if (fields == nullptr) {
      return fail(Fault::kCorrupt, "{}: tensor '{}' must be an object", label, name);
    }
    SafetensorsEntry entry;
    entry.name = name;
    if (const Result<void> done = read_type(entry, *fields, context); !done) return done;
    if (const Result<void> done = read_lengths(entry, *fields, context); !done) return done;
    const Result<Extent> extent = read_extent(entry, *fields, context);
    if (!extent) return std::unexpected(extent.error());
    entry.data = data.data() + extent->begin;
    placed.emplace_back(*extent, std::move(entry));
  }
  if (const Result<void> done = check_cover(placed, context); !done) return done;
  for (auto& [extent, entry] : placed) {
    if (!index_.emplace(entry.name, entries_.size()).second) {
      return fail(Fault::kCorrupt, "{}: tensor '{}' is in another shard too", label, entry.name);
    }
    entries_.push_back(std::move(entry));
  }
  return {};
}

Result<void> Safetensors::add_file(const std::filesystem::path& path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return std::unexpected(file.error());
  const Result<void> done = add(file->bytes(), path.string());
  if (!done) return done;
  shards_.push_back(std::move(*file));
  return {};
}

Result<void> Safetensors::add_indexed(const std::filesystem::path& index) {
  const Result<json::object> json = read_json_object(index);
  if (!json) return std::unexpected(json.error());
  const json::value* value = json->if_contains("weight_map");
  const json::object* map = value == nullptr ? nullptr : value->if_object();
  if (map == nullptr) {
    return fail(Fault::kCorrupt, "{}: field 'weight_map' must be an object", index.string());
  }
  std::map<std::string, size_t, std::less<>> end_of_shard;  // entries_ up to where after reading it
  for (const auto& member : *map) {
    const json::string* name = member.value().if_string();
    if (name == nullptr || name->empty() || !is_plain_name(*name)) {
      return fail(
          Fault::kCorrupt,
          "{}: field 'weight_map': tensor '{}' must lie in a file of this folder, NAME.safetensors",
          index.string(), std::string_view(member.key()));
    }
    end_of_shard.emplace(std::string_view(*name), 0);
  }
  if (end_of_shard.size() > kMaxSafetensorsShards) {
    return fail(Fault::kCorrupt, "{}: field 'weight_map' names {} files, limit {}", index.string(),
                end_of_shard.size(), kMaxSafetensorsShards);
  }
  std::map<std::string, size_t, std::less<>> begin_of_shard;
  for (auto& [name, end] : end_of_shard) {
    begin_of_shard[name] = entries_.size();
    if (const Result<void> done = add_file(index.parent_path() / name); !done) return done;
    end = entries_.size();
  }
  for (const auto& member : *map) {
    const std::string_view shard = member.value().get_string();
    const auto found = index_.find(std::string(member.key()));
    const bool is_there = found != index_.end() &&
                          found->second >= begin_of_shard.find(shard)->second &&
                          found->second < end_of_shard.find(shard)->second;
    if (!is_there) {
      return fail(Fault::kCorrupt, "{}: field 'weight_map': tensor '{}' is not in {}",
                  index.string(), std::string_view(member.key()), shard);
    }
  }
  return {};
}

Result<Safetensors> Safetensors::parse(std::span<const uint8_t> bytes, std::string_view label) {
  Safetensors result;
  result.label_ = label;
  const Result<void> done = result.add(bytes, label);
  if (!done) return std::unexpected(done.error());
  return result;
}

Result<Safetensors> Safetensors::open(const std::filesystem::path& path) {
  Safetensors result;
  result.label_ = path.string();
  Result<void> done;
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    done = result.add_file(path);
  } else if (std::filesystem::exists(path / "model.safetensors", error)) {
    done = result.add_file(path / "model.safetensors");
  } else if (std::filesystem::exists(path / "model.safetensors.index.json", error)) {
    done = result.add_indexed(path / "model.safetensors.index.json");
  } else {
    std::vector<std::filesystem::path> candidates;
    for (std::filesystem::directory_iterator file(path, error), end; !error && file != end;
         file.increment(error)) {
      if (file->path().extension() == ".safetensors") candidates.push_back(file->path());
    }
    if (candidates.size() != 1) {
      return fail(candidates.empty() ? Fault::kNotFound : Fault::kInvalid,
                  "{}: has {} files *.safetensors and neither model.safetensors nor "
                  "model.safetensors.index.json",
                  path.string(), candidates.size());
    }
    done = result.add_file(candidates.front());
  }
  if (!done) return std::unexpected(done.error());
  return result;
}

const SafetensorsEntry* Safetensors::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

Result<Tensor> Safetensors::tensor(const SafetensorsEntry& entry) const {
  const std::optional<TensorType> type = tensor_type_of(entry.type);
  if (!type) {
    return fail(Fault::kInvalid, "{}: tensor '{}' has dtype {}, which weights cannot have", label_,
                entry.name, name_of(entry.type));
  }
  return Tensor{.name = entry.name,
                .type = *type,
                .shape = entry.shape,
                .data = entry.data,
                .bytes = entry.bytes};
}

}  // namespace inferno::model
