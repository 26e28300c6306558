#include "base/topology.h"

#include <numaif.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <sstream>
#include <string>

namespace inferno {
namespace {

namespace fs = std::filesystem;

// Above what any system numbers; keeps a broken list from filling memory.
constexpr int kMaxNumber = 65535;

std::optional<std::string> text_of(const fs::path& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (trouble != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < 0 || value > kMaxNumber) return std::nullopt;
  return value;
}

// The list in a file; none when there is no such file.
Result<std::optional<std::vector<int>>> list_in(const fs::path& path) {
  const std::optional<std::string> text = text_of(path);
  if (!text) return std::nullopt;
  auto list = parse_number_list(*text);
  if (!list) return fail(list.error().fault, "{}: {}", path.string(), list.error().message);
  return std::move(*list);
}

// "Node 0 MemTotal:       14117080 kB" in bytes; 0 when the node does not say.
size_t memory_of(const fs::path& node) {
  std::ifstream file(node / "meminfo");
  std::string line;
  while (std::getline(file, line)) {
    const size_t key = line.find("MemTotal:");
    if (key == std::string::npos) continue;
    return std::strtoull(line.c_str() + key + std::string_view("MemTotal:").size(), nullptr, 10) *
           1024;
  }
  return 0;
}

// One row of the distance table, over all online nodes. Without one: 10 to itself, 20 to others.
Result<std::vector<int>> distances_of(const fs::path& node, size_t self, size_t node_count) {
  const std::optional<std::string> text = text_of(node / "distance");
  std::vector<int> distances(node_count, 20);
  distances[self] = 10;
  if (!text) return distances;
  std::istringstream words(*text);
  distances.assign(std::istream_iterator<int>(words), std::istream_iterator<int>());
  if (distances.size() != node_count) {
    return fail(Fault::kInvalid, "{}: {} distances for {} nodes", (node / "distance").string(),
                distances.size(), node_count);
  }
  return distances;
}

bool contains(const std::vector<int>& sorted, int value) {
  return std::ranges::binary_search(sorted, value);
}

std::vector<int> common(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> both;
  std::ranges::set_intersection(a, b, std::back_inserter(both));
  return both;
}

// Groups usable CPUs by the core they are on: the first of the CPU's siblings names it.
Result<std::vector<Core>> cores_of(const std::vector<int>& cpus, const fs::path& root) {
  std::map<int, Core> by_name;
  for (const int cpu : cpus) {
    const fs::path folder = root / "cpu" / fmt::format("cpu{}", cpu) / "topology";
    auto siblings = list_in(folder / "thread_siblings_list");
    if (!siblings) return std::unexpected(siblings.error());
    const bool is_alone = !*siblings || (*siblings)->empty();
    by_name[is_alone ? cpu : (*siblings)->front()].push_back(cpu);
  }
  std::vector<Core> cores;
  for (auto& [name, core] : by_name)
    cores.push_back(std::move(core));
  std::ranges::sort(cores);
  return cores;
}

Result<NumaNode> read_node(int id, const UsablePlaces& usable, const std::vector<int>& cpus,
                           const fs::path& root) {
  const fs::path folder = root / "node" / fmt::format("node{}", id);
  NumaNode node;
  node.id = id;
  auto own = list_in(folder / "cpulist");
  if (!own) return std::unexpected(own.error());
  auto cores = cores_of(common(own->value_or(std::vector<int>()), cpus), root);
  if (!cores) return std::unexpected(cores.error());
  node.cores = std::move(*cores);
  if (!usable.memory_nodes || contains(*usable.memory_nodes, id))
    node.memory_bytes = memory_of(folder);
  return node;
}

// CPUs of the affinity mask of the calling thread.
std::vector<int> cpus_of_this_thread() {
  std::vector<int> cpus;
  // The kernel refuses a mask shorter than its own; its size is a build setting of the kernel.
  for (int count = 1024; count <= kMaxNumber + 1; count *= 4) {
    cpu_set_t* set = CPU_ALLOC(count);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(count);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    for (int cpu = 0; known && cpu < count; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set)) cpus.push_back(cpu);
    }
    CPU_FREE(set);
    if (known) break;
  }
  return cpus;
}

// Memory nodes of the cpuset; none where the call is forbidden, as in some containers.
std::optional<std::vector<int>> memory_nodes_of_this_thread() {
  constexpr int kBitsPerWord = sizeof(unsigned long) * CHAR_BIT;
  constexpr int kMaxNodes = 4096;  // above the kernel's own limit of 1024
  unsigned long mask[kMaxNodes / kBitsPerWord] = {};
  if (get_mempolicy(nullptr, mask, kMaxNodes, nullptr, MPOL_F_MEMS_ALLOWED) != 0)
    return std::nullopt;
  std::vector<int> nodes;
  for (int node = 0; node < kMaxNodes; ++node) {
    if ((mask[node / kBitsPerWord] >> (node % kBitsPerWord) & 1) != 0) nodes.push_back(node);
  }
  return nodes;
}

}  // namespace

int NumaNode::cpu_count() const {
  return std::transform_reduce(cores.begin(), cores.end(), 0, std::plus<>(),
                               [](const Core& core) { return static_cast<int>(core.size()); });
}

int Topology::cpu_count() const {
  return std::transform_reduce(nodes.begin(), nodes.end(), 0, std::plus<>(),
                               [](const NumaNode& node) { return node.cpu_count(); });
}

const NumaNode* Topology::find(int id) const {
  const auto found = std::ranges::find(nodes, id, &NumaNode::id);
  return found == nodes.end() ? nullptr : &*found;
}

UsablePlaces UsablePlaces::of_this_process() {
  return {.cpus = cpus_of_this_thread(), .memory_nodes = memory_nodes_of_this_thread()};
}

Result<Topology> read_topology(const UsablePlaces& usable, const fs::path& root) {
  auto online = list_in(root / "cpu" / "online");
  if (!online) return std::unexpected(online.error());
  const std::vector<int> cpus = *online ? common(**online, usable.cpus) : usable.cpus;
  auto ids = list_in(root / "node" / "online");
  if (!ids) return std::unexpected(ids.error());
  Topology topology;
  if (!*ids || (*ids)->empty()) {
    auto cores = cores_of(cpus, root);
    if (!cores) return std::unexpected(cores.error());
    topology.nodes.push_back(
        NumaNode{.id = 0, .memory_bytes = 0, .cores = std::move(*cores), .distances = {10}});
  } else {
    for (const int id : **ids) {
      auto node = read_node(id, usable, cpus, root);
      if (!node) return std::unexpected(node.error());
      auto distances = distances_of(root / "node" / fmt::format("node{}", id),
                                    topology.nodes.size(), (*ids)->size());
      if (!distances) return std::unexpected(distances.error());
      node->distances = std::move(*distances);
      topology.nodes.push_back(std::move(*node));
    }
  }
  if (topology.cpu_count() == 0) {
    return fail(Fault::kInvalid, "{}: none of the {} CPUs this process may use is online",
                root.string(), usable.cpus.size());
  }
  return topology;
}

Result<std::vector<int>> parse_number_list(std::string_view text) {
  std::vector<int> numbers;
  std::string_view rest = without_blanks(text);
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const size_t dash = item.find('-');
    const auto first = number(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number(item.substr(dash + 1));
    const bool ends_in_comma = comma == rest.size() - 1;
    if (!first || !last || *last < *first || ends_in_comma) {
      return fail(Fault::kInvalid, "'{}' is not a list of numbers up to {} such as 0-3,8",
                  without_blanks(text), kMaxNumber);
    }
    for (int value = *first; value <= *last; ++value)
      numbers.push_back(value);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  std::ranges::sort(numbers);
  const auto doubled = std::ranges::unique(numbers);
  numbers.erase(doubled.begin(), doubled.end());
  return numbers;
}

}  // namespace inferno
