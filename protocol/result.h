// Result<T>: the value of an operation that can be expected to fail.
//
// Everything that reads what another program wrote (GHC's messages, archives, object files, BCOs)
// returns a Result, so that a caller has to look at the failure. Exceptions are left for what should
// never happen.
#pragma once

#include <cstdlib>
#include <string>
#include <utility>
#include <variant>

namespace splicehost {

// Why something failed, as one sentence fragment for a person: what was wrong, and where (offset,
// file, symbol). Callers prepend their own context with within().
struct Error {
  std::string message;

  // The same error with a caller's context before it: within("archive x.a") gives "archive x.a: ...".
  Error within(const std::string& context) const { return Error{context + ": " + message}; }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // The value. It is a programming error to ask a failed result for it.
  T& operator*() & { return get(); }
  const T& operator*() const& { return const_cast<Result*>(this)->get(); }
  T&& operator*() && { return std::move(get()); }
  T* operator->() { return &get(); }
  T valueOr(T other) && { return ok() ? std::move(get()) : std::move(other); }
  const T* operator->() const { return &const_cast<Result*>(this)->get(); }

  // The error. It is a programming error to ask a successful result for it.
  const Error& error() const {
    const Error* error = std::get_if<1>(&state_);
    if (error == nullptr) std::abort();
    return *error;
  }

 private:
  T& get() {
    T* value = std::get_if<0>(&state_);
    if (value == nullptr) std::abort();
    return *value;
  }

  std::variant<T, Error> state_;
};

// The value of a Result that carries none.
struct Done {};
using Status = Result<Done>;

}  // namespace splicehost
