#include "schedule/client.h"

#include "base/check.h"

namespace inferno::schedule {

Client& ClientTable::join(uint64_t name) {
  std::unique_ptr<Client>& slot = clients_[name];
  if (!slot) {
    slot = std::make_unique<Client>();
    slot->name = name;
  } else if (slot->live_count == 0) {
    idle_.erase(idle_.iterator_to(*slot));
  }
  ++slot->live_count;
  return *slot;
}

void ClientTable::leave(Client& client) {
  CHECK(client.live_count > 0, "client {} has no sequence that could leave", client.name);
  if (--client.live_count > 0) return;
  idle_.push_back(client);
  if (static_cast<int>(idle_.size()) <= max_idle_) return;
  const uint64_t forgotten = idle_.front().name;
  idle_.pop_front();
  clients_.erase(forgotten);
}

}  // namespace inferno::schedule
