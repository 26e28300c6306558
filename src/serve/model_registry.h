// The models of a server by name: which are in memory, which are loaded when they are asked for,
// and which go when memory is wanted.
//
//   request --acquire(name)--> entry, at once           the request shares it to its last event
//                         \--> not in memory: waits ---> model thread: make room, load, tell all
//
//   load(replace)  the next one is loaded beside the present one, then the name points to it; the
//                  old one ends with its last request, so no request fails
//   unload         the name is gone at once; the model goes with its last request
//   idle, or room wanted: a model that nobody uses goes, longest unused first; its name stays, and
//                  the next request loads it again
//
// Invariant: a name belongs to one slot; a model is loaded at most once at a time.
// Threads:   every method may be called from any thread but load_listed() and the destructor, which
//            wait. Loads run on the model thread, one after another; entries are destroyed by the
//            reaper (model_reaper.h); callbacks run on either, or on the calling thread, without
//            locks held.
// Cost:      acquire() is a lock and a search among a handful of names.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "serve/model_entry.h"
#include "serve/model_loader.h"
#include "serve/model_reaper.h"
#include "serve/serving_state.h"

namespace inferno::serve {

struct RegistryOptions {
  bool is_lazy = false;  // listed models are loaded when they are asked for
  std::optional<double> idle_unload_s =
      std::nullopt;                // unused for so long, a model leaves memory; none: never
  size_t memory_budget_bytes = 0;  // of all models together; 0: no limit
  // A request waits so long for its model: loading 70B parameters from a disk takes minutes.
  double load_wait_s = 300.0;
};

// What can be told of a model.
struct ModelStatus {
  ModelSpec spec;
  ServingState state = ServingState::kStopped;
  EntryPtr entry;     // null unless it is in memory
  std::string error;  // why it could not be loaded; empty unless failed
};

class ModelRegistry {
 public:
  using EntryCallback = std::function<void(Result<EntryPtr>)>;

  // `loader` may be null: then only served models can be added. All three outlive the registry.
  ModelRegistry(RegistryOptions options, ModelLoader* loader, MetricRegistry& metrics,
                const Clock& clock);

  // Waits for the load under way and for every request that still shares an entry: their server
  // must have stopped.
  ~ModelRegistry();
  ModelRegistry(const ModelRegistry&) = delete;
  ModelRegistry& operator=(const ModelRegistry&) = delete;

  // Adds a model that is in memory already and never leaves. kInvalid: a name is empty or taken, or
  // a part is missing.
  Result<void> add(ServedModel model);

  // Names a model that load_listed() or a request will load. kInvalid as above.
  Result<void> list(ModelSpec spec);

  // Loads the listed models, but for those that do not fit the budget together with the ones
  // before them, and all of them when the registry is lazy. Returns the first error.
  // Requires: a loader.
  Result<void> load_listed();

  // The entry of that name, if it is in memory; of the first model when no name is given.
  // kNotFound, or kOverloaded when it is listed but not in memory.
  Result<EntryPtr> find(std::string_view name) const;

  // As find(), but loads what is listed and not in memory: then nothing is returned, and `later` is
  // called once with the entry, or with why there is none, within load_wait_s.
  std::optional<Result<EntryPtr>> acquire(std::string_view name, EntryCallback later);

  // Loads a model under a name of its own, or instead of the one that has the name when `replaces`.
  struct Change {
    ModelSpec spec;  // one name
    bool replaces = false;
  };
  // `done` is called once, with the entry or with why there is none: kInvalid when the name is
  // taken, kOverloaded while it is being loaded or when there is no room, else the loader's error.
  // What had the name stays in service then.
  void load(Change change, EntryCallback done);

  // Takes a name out of service. Returns whether requests still run on its model. kNotFound;
  // kOverloaded while it is being loaded; kInvalid for a model that was added.
  Result<bool> unload(std::string_view name);

  // All slots in the order listed, then what is draining.
  std::vector<ModelStatus> statuses() const;

  // Whether find() may say kOverloaded of a listed model, so that requests should acquire().
  bool loads_on_demand() const;

  // Whether a load is under way or queued.
  bool is_loading() const;

  // The loader; null when there is none.
  ModelLoader* loader() const { return loader_; }

  // Unloads what is unused for idle_unload_s at the clock's time, and ends waits that are over.
  // The reaper calls it once a second.
  void tick();

  // Sets inferno:model_state to what statuses() says. Call before metrics are printed.
  void publish_states();

 private:
  struct Waiter {
    std::optional<TimePoint> deadline;
    EntryCallback tell;
  };
  struct Slot {
    ModelSpec spec;
    EntryPtr entry;
    ServingState state = ServingState::kStopped;
    std::string error;
    bool is_permanent = false;           // was added: there is nothing to load it from
    bool is_removed_on_failure = false;  // a client's wish that never came true
    bool is_replaced = false;            // a load beside `entry` is queued or under way

    // Held by the slot alone. New holders come through mutex_ only, so it stays idle under it.
    bool is_idle() const { return entry != nullptr && entry.use_count() == 1; }
    TimePoint last_used{};
    TimePoint failed_at{};
    std::vector<Waiter> waiters;
  };
  using SlotPtr = std::shared_ptr<Slot>;
  struct Job {
    SlotPtr slot;
    ModelSpec spec;
    EntryCallback done;  // of a replacement; else the slot's waiters are told
  };

  // What has "_locked" in its name requires mutex_ to be held.
  SlotPtr slot_locked(std::string_view name) const;
  Result<void> check_names_locked(const std::vector<std::string>& names) const;
  void queue_fill_locked(const SlotPtr& slot);
  void queue_locked(Job job);
  EntryPtr take_idle_locked(const Slot* except);
  std::vector<EntryPtr> take_unused_locked(TimePoint now);

  void work();
  void run(Job job);
  Result<EntryPtr> load_entry(const Job& job);
  Result<void> make_room(const Job& job);
  static void tell_all(const std::vector<Waiter>& waiters, Result<EntryPtr> loaded);
  void finish_fill(const SlotPtr& slot, Result<EntryPtr> loaded);
  void finish_replacement(Job& job, Result<EntryPtr> loaded);

  const RegistryOptions options_;
  ModelLoader* const loader_;
  MetricRegistry& metrics_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<SlotPtr> slots_;  // guarded by mutex_, as all below
  mutable std::vector<std::pair<ModelSpec, std::weak_ptr<const ModelEntry>>> draining_;
  std::deque<Job> jobs_;
  bool is_running_job_ = false;
  bool is_stopping_ = false;

  std::mutex publish_mutex_;
  std::vector<std::string> published_names_;  // guarded by publish_mutex_

  ModelReaper reaper_;
  std::thread thread_;
};

}  // namespace inferno::serve
