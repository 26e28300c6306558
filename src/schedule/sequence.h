// One request while it is being served by this worker: its tokens, how many of them are computed,
// its pages, and what the scheduler needs to know to choose between it and others.
//
//   tokens     prompt, then generated; while a step runs, drafts after them
//   computed   the first `computed` tokens have their keys and values in the pages
//
//   [ prompt | generated | drafts )      known tokens: prompt and generated
//      computed -^       ^- known end
//
// The tokens of a chunk that is computed a few layers at a time (scheduler.h) are not computed
// until it has been through all of them.
//
// There is no prefill and no decode phase: every step computes some of tokens[computed, end), and
// the step that computes the last known one yields the next token. Drafts are guesses of what
// follows: computed in the same step, they are known tokens when they turn out to be what was
// chosen, and forgotten otherwise; what they left in the pages is written over.
//
// A sequence stays where it is in memory from Scheduler::add() to Scheduler::finish(): queues link
// through it, which is why scheduling allocates nothing.
//
// Threads: belongs to the engine thread.
#pragma once

#include <boost/intrusive/set_hook.hpp>
#include <boost/intrusive/unordered_set_hook.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "kv/block_table.h"
#include "request/request.h"
#include "schedule/draft_acceptance.h"
#include "schedule/urgency.h"

namespace inferno::schedule {

struct Client;
struct Flow;

// Where a sequence is; drawn in scheduler.h.
enum class SequenceState : uint8_t { kOutside, kWaiting, kDeferred, kRunning };

// What of a request matters to the order in which requests are served.
struct SequenceTraits {
  int priority = 0;                                      // lower is served earlier
  std::optional<request::ServiceClass> service_class{};  // none: standard, with feedback levels
  uint64_t client = 0;                                   // hash of the client's name
  TimePoint arrival{};                                   // when its waiting began
  std::optional<TimePoint> deadline{};                   // when it is of no more use
  std::optional<RequestId> fork_of{};  // with the same prompt and salt: shares its pages
  int max_new_tokens = 1;              // it ends after so many generated tokens at the latest
};

struct Sequence {
  using SetLink =
      boost::intrusive::set_member_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;
  using HashLink = boost::intrusive::unordered_set_member_hook<
      boost::intrusive::link_mode<boost::intrusive::normal_link>>;

  // `root`: what the first block's hash starts from. `most_tokens`: prompt and answer, sizes the
  // tables once.
  Sequence(RequestId request_id, std::vector<TokenId> prompt, token::BlockHash root,
           int most_tokens, const SequenceTraits& request_traits = {})
      : id(request_id),
        traits(request_traits),
        prompt_count(static_cast<int>(prompt.size())),
        max_tokens(most_tokens),
        tokens(std::move(prompt)),
        table(root, most_tokens) {
    tokens.reserve(static_cast<size_t>(most_tokens));
  }
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  // Known tokens, of them those not computed, and those after the prompt.
  int token_count() const { return static_cast<int>(tokens.size()) - draft_count; }
  int pending_count() const { return token_count() - computed; }
  int generated_count() const { return token_count() - prompt_count; }
  request::ServiceClass service_class() const {
    return traits.service_class.value_or(request::ServiceClass::kStandard);
  }

  RequestId id;
  SequenceTraits traits;
  int prompt_count;
  int max_tokens;               // prompt and answer at most
  std::vector<TokenId> tokens;  // the engine appends what was generated
  kv::BlockTable table;
  int computed = 0;
  int cached_count = 0;  // prompt tokens it did not have to compute when it was first admitted
  bool reads_prefix_cache = true;  // false when the logits of every prompt token are wanted
  bool was_admitted = false;
  int preemption_count = 0;
  SequenceState state = SequenceState::kOutside;

  // What may follow the known tokens, for the step that computes the last of them; the engine
  // renews it with every token it appends. Empty: nothing is guessed.
  std::vector<TokenId> draft_offer;
  int draft_match_length = 0;  // tokens by which the offer was found

  // The scheduler's notes from here on; nobody else writes them.
  Client* client = nullptr;
  Flow* flow = nullptr;          // while waiting
  uint64_t order = 0;            // of add(): lower came earlier
  uint64_t admission_order = 0;  // of the last admission
  int draft_count = 0;           // the last so many tokens are drafts; only while a step runs
  int verified_count = 0;        // drafts computed in the last step, not yet accepted
  DraftAcceptance draft_acceptance;
  int64_t slack_key = 0;  // latest time to start, in clock ticks: least first within a tier
  std::optional<Tier>
      inherited_tier;                // while it prefills: of the most urgent one that waits for it
  TimePoint aged_at{};               // unless it decodes: when it has been overtaken too long
  std::optional<double> patience_s;  // while it decodes: the time to that, which stands still
  TimePoint first_token{};
  TimePoint last_token{};
  int predicted_new_tokens = 0;  // length of its answer, as expected when it was added
  int expected_cached = 0;       // tokens of its prompt that were in the cache when it was added
  int served_tokens = 0;         // furthest computed position: service received, without repeats
  int served_at_admission = 0;
  std::optional<int> chunk_index;      // in the step being planned
  int carried_count = 0;               // tokens after the computed ones that are carried
  int carry_row = 0;                   // while there are: where they are kept
  int gave_way_at = -1;                // computed tokens when what was carried began anew
  bool promoted = false;               // admitted through the aged lane: keeps its place
  Sequence* computer = nullptr;        // while deferred: whose tokens are waited for
  int awaited_tokens = 0;              // while deferred: how many of them must be computed
  token::BlockHash computing_block{};  // while linked into the index of blocks being computed
  bool is_computing = false;
  SetLink queue_link;
  SetLink age_link;
  SetLink deadline_link;
  SetLink id_link;
  SetLink waiter_link;
  HashLink block_link;
};

}  // namespace inferno::schedule
