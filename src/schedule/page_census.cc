#include "schedule/page_census.h"

namespace inferno::schedule {

PageCensus::PageCensus(const kv::BlockPool& pool)
    : pool_(pool), holders_(static_cast<size_t>(pool.capacity())) {}

int PageCensus::add(const kv::BlockTable& table) {
  int freed = 0;
  for (const uint32_t page : table.pages()) {
    Holders& holders = holders_[page];
    if (holders.round != round_) holders = {.round = round_, .count = 0};
    if (++holders.count == pool_.reference_count(PageId{page})) ++freed;
  }
  return freed;
}

bool PageCensus::stays_held(PageId page) const {
  const Holders& holders = holders_[page.value];
  const int added = holders.round == round_ ? holders.count : 0;
  return pool_.reference_count(page) > added;
}

}  // namespace inferno::schedule
