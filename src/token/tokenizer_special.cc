#include "token/tokenizer_special.h"

namespace inferno::token {

SpecialMatcher::SpecialMatcher() : nodes_(1) {}

void SpecialMatcher::add(std::string_view spelling, TokenId token, SpecialKind kind) {
  if (spelling.empty()) return;
  begins_[static_cast<uint8_t>(spelling.front())] = true;
  uint32_t node = 0;
  for (const char byte : spelling) {
    const auto fresh = static_cast<uint32_t>(nodes_.size());
    const uint64_t edge = uint64_t{node} << 8 | static_cast<uint8_t>(byte);
    const auto [found, inserted] = edges_.try_emplace(edge, fresh);
    if (inserted) nodes_.emplace_back();
    node = found->second;
  }
  if (nodes_[node].token < 0) nodes_[node] = {token, kind};
}

std::optional<SpecialMatcher::Match> SpecialMatcher::find(std::string_view text, size_t from,
                                                          SpecialKind kind) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_[static_cast<uint8_t>(text[begin])]) continue;
    std::optional<Match> longest;
    std::optional<uint32_t> node = 0;
    for (size_t end = begin; end < text.size(); ++end) {
      node = child(*node, text[end]);
      if (!node) break;
      const Node& reached = nodes_[*node];
      const bool wanted = kind == SpecialKind::kOnRequest || reached.kind == SpecialKind::kAlways;
      if (reached.token >= 0 && wanted) longest = {begin, end + 1 - begin, reached.token};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

std::optional<uint32_t> SpecialMatcher::child(uint32_t node, char byte) const {
  const auto edge = edges_.find(uint64_t{node} << 8 | static_cast<uint8_t>(byte));
  if (edge == edges_.end()) return std::nullopt;
  return edge->second;
}

}  // namespace inferno::token
