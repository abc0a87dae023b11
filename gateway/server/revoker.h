// Revoker: what becomes of an operator's word that somebody is not to be served any more: the table of the process, its file,
// the live connections of all workers, and a line in the log. Main thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "event/loop.h"
#include "event/timer.h"
#include "policy/revocations.h"
#include "server/admin_reply.h"
#include "server/revocation_file.h"
#include "server/revoke_command.h"
#include "session/kick.h"

namespace sluice::server {

class Revoker {
 public:
  // Shows a kick to the connections of all workers; calls back on the main loop with how many were closed.
  using Tell = std::function<void(std::shared_ptr<const session::Kick>, std::move_only_function<void(std::size_t)>)>;

  // Told of what was done here, so that other gateways hear of it.
  class Share {
   public:
    // `lasts`: it is in the table. Otherwise it was of the moment.
    virtual void made(const policy::Revocation& what, bool lasts) = 0;
    virtual void removed(const policy::Revocation& what) = 0;

   protected:
    ~Share() = default;
  };

  Revoker(event::Loop& loop, std::shared_ptr<policy::Revocations> table, Tell tell, DiskCalls disk = {});

  // Puts what the file holds into the table, at start. False and `why` when the file is not good.
  bool open(const config::RevocationSettings& settings, std::string& why);
  // After a reload: the file stays what it was.
  void configure(const config::RevocationSettings& settings) { table_->set_most(settings.max); }

  void share_with(Share* share) { share_ = share; }  // null: nobody

  // First the table, so that no new connection comes while the live ones are closed; then the disk; then they are closed; then
  // the answer. Where the disk fails the rest is done all the same, and the answer says so. `by`: who asks.
  void revoke(const RevokeCommand& command, std::string_view by, std::move_only_function<void(AdminReply)> done);
  // Takes one back: first on the disk, then in the table.
  AdminReply restore(const std::string& id, std::string_view by);
  // What another gateway has done: into the table and on the disk, where it is news; then live connections are closed, a few entries
  // at a time.
  void apply(std::vector<policy::Revocation> entries);
  // Likewise of the moment, and of connections that came before `before`.
  void apply_kick(policy::Revocation what, Instant before);
  // Takes back the entry that says the same, unless it was made later.
  void withdraw(const policy::Revocation& what);
  // JSON text of those in force, at most `limit`.
  std::string list(std::size_t limit);
  std::size_t in_force();

 private:
  bool store(const policy::Revocation& revocation);
  bool forget(const policy::Revocation& revocation);
  void look_after();
  void tell_next();
  void say_lost();

  event::Loop& loop_;
  std::shared_ptr<policy::Revocations> table_;
  Tell tell_;
  RevocationFile file_;
  std::string path_;  // empty: there is no file
  Share* share_ = nullptr;
  std::deque<std::shared_ptr<const session::Kick>> kicks_;  // of others, not told yet
  std::size_t telling_ = 0;  // of them
  bool in_turn_ = false;     // tell_next() is at work
  event::Timer timer_;
};

}  // namespace sluice::server
