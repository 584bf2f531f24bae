// The environment of a test's process, put back when its owner goes.
#pragma once

#include <stdlib.h>

#include <map>
#include <optional>
#include <string>

namespace splicehost::testing {

class Environment {
 public:
  Environment() = default;
  ~Environment() {
    for (const auto& [name, value] : before_) put(name, value);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  void set(const std::string& name, const std::string& value) { change(name, value); }
  void unset(const std::string& name) { change(name, std::nullopt); }

 private:
  using Value = std::optional<std::string>;

  void change(const std::string& name, const Value& value) {
    const char* now = getenv(name.c_str());
    before_.emplace(name, now == nullptr ? Value() : Value(now));
    put(name, value);
  }
  static void put(const std::string& name, const Value& value) {
    if (value) {
      setenv(name.c_str(), value->c_str(), 1);
    } else {
      unsetenv(name.c_str());
    }
  }

  std::map<std::string, Value> before_;
};

}  // namespace splicehost::testing
