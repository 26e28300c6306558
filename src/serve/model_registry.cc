#include "serve/model_registry.h"

#include <algorithm>
#include <exception>
#include <future>
#include <utility>

namespace inferno::serve {
namespace {

// Requests that may wait for one model to be loaded; one more is refused.
constexpr size_t kMostWaiters = 4096;

// A model that could not be loaded is not tried again before: its files do not mend in less, and
// every try keeps the model thread from others.
constexpr double kRetryFailedAfter_s = 10.0;

// How long a load waits for models in use to become idle: longer than most answers take.
constexpr int kRoomAttempts = 300;
constexpr std::chrono::milliseconds kRoomPause{100};

Error unknown_model() {
  return {Fault::kNotFound, "The model does not exist.", "model"};
}

std::string mebibytes(size_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576.0);
}

}  // namespace

ModelRegistry::ModelRegistry(RegistryOptions options, ModelLoader* loader, MetricRegistry& metrics,
                             const Clock& clock)
    : options_(options),
      loader_(loader),
      metrics_(metrics),
      clock_(clock),
      reaper_({.work = loads_on_demand() ? [this] { tick(); } : std::function<void()>()}),
      thread_([this] { work(); }) {}

ModelRegistry::~ModelRegistry() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  std::vector<SlotPtr> slots;
  std::deque<Job> jobs;
  const std::lock_guard lock(mutex_);
  slots.swap(slots_);
  jobs.swap(jobs_);
}

bool ModelRegistry::loads_on_demand() const {
  return loader_ != nullptr &&
         (options_.is_lazy || options_.idle_unload_s || options_.memory_budget_bytes > 0);
}

bool ModelRegistry::is_loading() const {
  const std::lock_guard lock(mutex_);
  return is_running_job_ || !jobs_.empty();
}

Result<void> ModelRegistry::check_names_locked(const std::vector<std::string>& names) const {
  if (names.empty()) return fail(Fault::kInvalid, "a served model has no name");
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) return fail(Fault::kInvalid, "a served model has an empty name");
    const bool is_repeated = std::find(names.begin(), names.begin() + static_cast<ptrdiff_t>(i),
                                       names[i]) != names.begin() + static_cast<ptrdiff_t>(i);
    if (is_repeated || slot_locked(names[i]) != nullptr) {
      return fail_field("name", "the model name \"{}\" is used twice", names[i]);
    }
  }
  return {};
}

ModelRegistry::SlotPtr ModelRegistry::slot_locked(std::string_view name) const {
  for (const SlotPtr& slot : slots_) {
    if (std::ranges::find(slot->spec.names, name) != slot->spec.names.end()) return slot;
  }
  return nullptr;
}

Result<void> ModelRegistry::add(ServedModel model) {
  const std::lock_guard lock(mutex_);
  if (auto checked = check_names_locked(model.names); !checked) return checked;
  if (model.tokenizer == nullptr || model.generator == nullptr) {
    return fail(Fault::kInvalid, "model \"{}\" lacks a tokenizer or a generator",
                model.names.front());
  }
  auto slot = std::make_shared<Slot>();
  slot->spec = {.names = model.names, .source = model.root};
  slot->is_permanent = true;
  slot->state = ServingState::kReady;
  // Nothing of it is the registry's to destroy, so it may end wherever its last request does.
  slot->entry = std::make_shared<ModelEntry>(std::move(model), metrics_);
  slots_.push_back(std::move(slot));
  return {};
}

Result<void> ModelRegistry::list(ModelSpec spec) {
  const std::lock_guard lock(mutex_);
  if (auto checked = check_names_locked(spec.names); !checked) return checked;
  auto slot = std::make_shared<Slot>();
  slot->spec = std::move(spec);
  slots_.push_back(std::move(slot));
  return {};
}

Result<void> ModelRegistry::load_listed() {
  if (options_.is_lazy) return {};
  for (const ModelStatus& status : statuses()) {
    if (status.entry != nullptr) continue;
    if (options_.memory_budget_bytes > 0) {
      auto bytes = loader_->estimate_bytes(status.spec);
      if (!bytes) return std::unexpected(bytes.error());
      // Nothing listed makes room for what is listed after it.
      if (*bytes > options_.memory_budget_bytes) {
        return fail(Fault::kOverloaded, "the model \"{}\" needs {}, the budget of all models is {}",
                    status.spec.names.front(), mebibytes(*bytes),
                    mebibytes(options_.memory_budget_bytes));
      }
      if (reaper_.live_bytes() + *bytes > options_.memory_budget_bytes) continue;
    }
    std::promise<Result<EntryPtr>> promise;
    auto loaded = promise.get_future();
    {
      const std::lock_guard lock(mutex_);
      const SlotPtr slot = slot_locked(status.spec.names.front());
      slot->waiters.push_back(
          {std::nullopt, [&](Result<EntryPtr> entry) { promise.set_value(std::move(entry)); }});
      queue_fill_locked(slot);
    }
    if (const auto entry = loaded.get(); !entry) return std::unexpected(entry.error());
  }
  return {};
}

Result<EntryPtr> ModelRegistry::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const SlotPtr slot = name.empty() && !slots_.empty() ? slots_.front() : slot_locked(name);
  if (slot == nullptr) return std::unexpected(unknown_model());
  if (slot->entry != nullptr) {
    slot->last_used = clock_.now();
    return slot->entry;
  }
  return fail(Fault::kOverloaded, "the model \"{}\" is {}", slot->spec.names.front(),
              name_of(slot->state));
}

std::optional<Result<EntryPtr>> ModelRegistry::acquire(std::string_view name, EntryCallback later) {
  const std::lock_guard lock(mutex_);
  const SlotPtr slot = name.empty() && !slots_.empty() ? slots_.front() : slot_locked(name);
  if (slot == nullptr) return std::unexpected(unknown_model());
  const TimePoint now = clock_.now();
  slot->last_used = now;
  if (slot->entry != nullptr) return slot->entry;
  if (slot->state == ServingState::kFailed) {
    const double left_s = kRetryFailedAfter_s - seconds_between(slot->failed_at, now);
    if (left_s > 0.0) {
      return std::unexpected(Error{Fault::kOverloaded,
                                   fmt::format("the model \"{}\" could not be loaded: {}",
                                               slot->spec.names.front(), slot->error),
                                   "", left_s});
    }
  }
  if (slot->waiters.size() >= kMostWaiters) {
    return std::unexpected(Error{Fault::kOverloaded,
                                 fmt::format("{} requests wait for the model \"{}\" to be loaded",
                                             slot->waiters.size(), slot->spec.names.front()),
                                 "", 5.0});
  }
  slot->waiters.push_back({after_seconds(now, options_.load_wait_s), std::move(later)});
  if (slot->state != ServingState::kLoading) queue_fill_locked(slot);
  return std::nullopt;
}

void ModelRegistry::load(Change change, EntryCallback done) {
  Error refusal;
  {
    const std::lock_guard lock(mutex_);
    const SlotPtr present = slot_locked(change.spec.names.front());
    if (present == nullptr) {
      auto slot = std::make_shared<Slot>();
      slot->spec = std::move(change.spec);
      slot->is_removed_on_failure = true;
      slot->waiters.push_back({std::nullopt, std::move(done)});
      slot->last_used = clock_.now();
      slots_.push_back(slot);
      queue_fill_locked(slot);
      return;
    }
    const std::string& name = present->spec.names.front();
    if (present->state == ServingState::kLoading || present->is_replaced) {
      refusal = {Fault::kOverloaded, fmt::format("the model \"{}\" is being loaded", name), "name"};
    } else if (!change.replaces) {
      refusal = {
          Fault::kInvalid,
          fmt::format("the name \"{}\" is taken: say \"replace\": true to replace its model", name),
          "name"};
    } else {
      present->is_replaced = true;
      change.spec.names = present->spec.names;
      queue_locked({present, std::move(change.spec), std::move(done)});
      return;
    }
  }
  done(std::unexpected(std::move(refusal)));
}

Result<bool> ModelRegistry::unload(std::string_view name) {
  EntryPtr entry;  // let go after the lock
  const std::lock_guard lock(mutex_);
  const SlotPtr slot = slot_locked(name);
  if (slot == nullptr) return std::unexpected(unknown_model());
  if (slot->is_permanent) {
    return fail_field("model", "the model \"{}\" cannot be unloaded", slot->spec.names.front());
  }
  if (slot->state == ServingState::kLoading || slot->is_replaced) {
    return fail(Fault::kOverloaded, "the model \"{}\" is being loaded", slot->spec.names.front());
  }
  const bool is_in_use = slot->entry != nullptr && !slot->is_idle();
  std::erase(slots_, slot);
  entry = std::move(slot->entry);
  if (is_in_use) draining_.emplace_back(slot->spec, entry);
  return is_in_use;
}

std::vector<ModelStatus> ModelRegistry::statuses() const {
  std::vector<ModelStatus> out;
  const std::lock_guard lock(mutex_);
  for (const SlotPtr& slot : slots_) {
    ModelStatus status{slot->spec, slot->state, slot->entry, slot->error};
    if (status.entry != nullptr && !status.entry->model.generator->healthy()) {
      status.state = ServingState::kFailed;
      status.error = "its engine is broken";
    }
    out.push_back(std::move(status));
  }
  std::erase_if(draining_, [](const auto& gone) { return gone.second.expired(); });
  for (const auto& [spec, entry] : draining_)
    out.push_back({spec, ServingState::kDraining, nullptr, ""});
  return out;
}

void ModelRegistry::publish_states() {
  const std::lock_guard publishing(publish_mutex_);
  const auto publish = [this](const std::string& name, ServingState present) {
    for (const ServingState state : kServingStates) {
      metrics_
          .gauge({"inferno:model_state",
                  "1 for the state that a model is in, 0 for the others.",
                  {{"model_name", name}, {"state", std::string(name_of(state))}}})
          .set(state == present ? 1.0 : 0.0);
    }
  };
  std::vector<std::string> names;
  for (const ModelStatus& status : statuses()) {
    const std::string& name = status.spec.names.front();
    // One that drains while another has its name already: the name's state is the other's.
    if (std::ranges::find(names, name) != names.end()) continue;
    publish(name, status.state);
    names.push_back(name);
  }
  for (const std::string& name : published_names_) {
    if (std::ranges::find(names, name) == names.end()) publish(name, ServingState::kStopped);
  }
  for (const std::string& name : names) {
    if (std::ranges::find(published_names_, name) == published_names_.end()) {
      published_names_.push_back(name);
    }
  }
}

void ModelRegistry::tick() {
  const TimePoint now = clock_.now();
  std::vector<EntryPtr> unused;  // let go after the lock
  std::vector<std::pair<std::string, EntryCallback>> tired;
  {
    const std::lock_guard lock(mutex_);
    for (const SlotPtr& slot : slots_) {
      std::erase_if(slot->waiters, [&](Waiter& waiter) {
        if (!waiter.deadline || *waiter.deadline > now) return false;
        tired.emplace_back(slot->spec.names.front(), std::move(waiter.tell));
        return true;
      });
    }
    unused = take_unused_locked(now);
  }
  for (const auto& [name, tell] : tired) {
    tell(fail(Fault::kOverloaded, "the model \"{}\" is still loading after {} s", name,
              options_.load_wait_s));
  }
}

std::vector<EntryPtr> ModelRegistry::take_unused_locked(TimePoint now) {
  std::vector<EntryPtr> unused;
  if (!options_.idle_unload_s) return unused;
  for (const SlotPtr& slot : slots_) {
    if (slot->entry == nullptr || slot->is_permanent || slot->is_replaced) continue;
    if (!slot->is_idle()) {
      slot->last_used = now;
    } else if (seconds_between(slot->last_used, now) >= *options_.idle_unload_s) {
      slot->state = ServingState::kStopped;
      unused.push_back(std::move(slot->entry));
    }
  }
  return unused;
}

EntryPtr ModelRegistry::take_idle_locked(const Slot* except) {
  Slot* longest = nullptr;
  for (const SlotPtr& slot : slots_) {
    if (slot.get() == except || !slot->is_idle() || slot->is_permanent || slot->is_replaced) {
      continue;
    }
    if (longest == nullptr || slot->last_used < longest->last_used) longest = slot.get();
  }
  if (longest == nullptr) return nullptr;
  longest->state = ServingState::kStopped;
  return std::move(longest->entry);
}

void ModelRegistry::queue_fill_locked(const SlotPtr& slot) {
  slot->state = ServingState::kLoading;
  queue_locked({slot, slot->spec, nullptr});
}

void ModelRegistry::queue_locked(Job job) {
  jobs_.push_back(std::move(job));
  wake_.notify_all();
}

void ModelRegistry::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return is_stopping_ || !jobs_.empty(); });
    if (is_stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    is_running_job_ = true;
    lock.unlock();
    run(std::move(job));
    lock.lock();
    is_running_job_ = false;
  }
}

void ModelRegistry::run(Job job) {
  if (!job.done) {
    // A replacement may have come first.
    std::unique_lock lock(mutex_);
    if (EntryPtr present = job.slot->entry; present != nullptr) {
      lock.unlock();
      finish_fill(job.slot, std::move(present));
      return;
    }
    if (std::ranges::find(slots_, job.slot) == slots_.end()) {  // unloaded meanwhile
      std::vector<Waiter> waiters = std::exchange(job.slot->waiters, {});
      lock.unlock();
      tell_all(waiters, std::unexpected(unknown_model()));
      return;
    }
    job.spec = job.slot->spec;  // as a replacement may have left it
    job.slot->state = ServingState::kLoading;
  }
  Result<EntryPtr> loaded = fail(Fault::kInternal, "loading did not begin");
  try {
    loaded = load_entry(job);
  } catch (const std::exception& trouble) {
    loaded = fail(Fault::kInternal, "loading failed: {}", trouble.what());
  }
  if (job.done) {
    finish_replacement(job, std::move(loaded));
  } else {
    finish_fill(job.slot, std::move(loaded));
  }
}

Result<EntryPtr> ModelRegistry::load_entry(const Job& job) {
  if (auto room = make_room(job); !room) return std::unexpected(room.error());
  auto model = loader_->load(job.spec);
  if (!model) return std::unexpected(model.error());
  model->names = job.spec.names;
  return reaper_.adopt(std::make_unique<ModelEntry>(std::move(*model), metrics_));
}

Result<void> ModelRegistry::make_room(const Job& job) {
  const size_t budget = options_.memory_budget_bytes;
  if (budget == 0) return {};
  auto need = loader_->estimate_bytes(job.spec);
  if (!need) return std::unexpected(need.error());
  if (*need > budget) {
    return fail(Fault::kOverloaded, "the model \"{}\" needs {}, the budget of all models is {}",
                job.spec.names.front(), mebibytes(*need), mebibytes(budget));
  }
  for (int attempt = 0; attempt < kRoomAttempts; ++attempt) {
    if (reaper_.live_bytes() + *need <= budget) return {};
    EntryPtr idle;
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_) break;
      idle = take_idle_locked(job.slot.get());
    }
    idle.reset();
    reaper_.wait_for_burial(kRoomPause);
  }
  return fail(
      Fault::kOverloaded, "the model \"{}\" needs {}: models in use hold {} of the budget of {}",
      job.spec.names.front(), mebibytes(*need), mebibytes(reaper_.live_bytes()), mebibytes(budget));
}

// The last one gets the hold of this thread, so that nobody who was told finds the model in use by
// nobody.
void ModelRegistry::tell_all(const std::vector<Waiter>& waiters, Result<EntryPtr> loaded) {
  for (size_t i = 0; i + 1 < waiters.size(); ++i)
    waiters[i].tell(loaded);
  if (!waiters.empty()) waiters.back().tell(std::move(loaded));
}

void ModelRegistry::finish_fill(const SlotPtr& slot, Result<EntryPtr> loaded) {
  std::vector<Waiter> waiters;
  {
    const std::lock_guard lock(mutex_);
    waiters.swap(slot->waiters);
    slot->last_used = clock_.now();
    if (loaded) {
      slot->entry = *loaded;
      slot->state = ServingState::kReady;
      slot->error.clear();
      slot->is_removed_on_failure = false;
    } else {
      slot->state = ServingState::kFailed;
      slot->error = loaded.error().message;
      slot->failed_at = slot->last_used;
      if (slot->is_removed_on_failure) std::erase(slots_, slot);
    }
  }
  tell_all(waiters, std::move(loaded));
}

void ModelRegistry::finish_replacement(Job& job, Result<EntryPtr> loaded) {
  EntryPtr old;  // let go after the lock
  std::vector<Waiter> waiters;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = *job.slot;
    slot.is_replaced = false;
    if (loaded) {
      old = std::exchange(slot.entry, *loaded);
      slot.spec = job.spec;
      slot.is_permanent = false;
      slot.last_used = clock_.now();
      slot.error.clear();
      // A fill queued meanwhile finds the slot filled; its waiters need not wait for it.
      slot.state = ServingState::kReady;
      waiters.swap(slot.waiters);
      if (old != nullptr && old.use_count() > 1) {
        draining_.emplace_back(ModelSpec{old->model.names, old->model.root}, old);
      }
    }
  }
  old.reset();
  waiters.push_back({std::nullopt, std::move(job.done)});
  tell_all(waiters, std::move(loaded));
}

}  // namespace inferno::serve
