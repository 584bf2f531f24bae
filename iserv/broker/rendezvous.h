// Where clients find the broker of their user: a socket in the runtime directory (iserv/base/runtime_directory.h).
// Beside it are the log, and a lock that makes sure that there is one broker.
//
// Who holds the lock on the file <socket>.lock is the broker, or about to be, and removes the file. So whoever gets the
// lock on a file must check that it is still the one of that name.
#pragma once

#include <kj/io.h>

#include <string>

#include "protocol/result.h"

namespace splicehost::broker {

class Rendezvous {
 public:
  // `program` is the path of the broker. Fails if there is no directory to be trusted.
  static Result<Rendezvous> find(const std::string& program);

  const std::string& directory() const { return directory_; }
  std::string logFile() const { return socketPath_ + ".log"; }
  const std::string& socketPath() const { return socketPath_; }

  // Whether somebody accepts connections there.
  bool isServed() const;
  // False if somebody else has the lock.
  Result<bool> lock();
  // Having the lock: makes the socket, in place of one that a broker may have left. Also removes logs of brokers
  // that are long gone: each build has one of its own.
  Result<kj::AutoCloseFd> listen();
  // Whether clients still find the socket that listen() made.
  bool isOurs() const;
  // Removes the socket and the lock: the next broker can start.
  void giveUp();

 private:
  void removeOldLogs() const;
  std::string lockPath() const { return socketPath_ + ".lock"; }

  std::string directory_;
  std::string socketPath_;
  kj::AutoCloseFd lock_;
  uint64_t device_ = 0, inode_ = 0;  // of the socket
};

}  // namespace splicehost::broker
