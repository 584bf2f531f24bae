// What the broker has done, for people: a line for each event, with its time.
#pragma once

#include <string>

namespace splicehost::broker {

class Log {
 public:
  // Writes to this fd, which stays the caller's and is to be open for appending.
  explicit Log(int fd) : fd_(fd) {}

  void operator()(const std::string& event) const;

  // Empties the log, if it is a file and has become too large.
  void limit() const;

 private:
  int fd_;
};

}  // namespace splicehost::broker
