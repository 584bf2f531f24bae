// What a GHC says on the wire, asked of that GHC (ways/facts), and how much of it is known here.
//
// The facts are lines of text. A type is written as its constructors and their fields, down to those that the class
// Binary has an instance by hand for: `Maybe{Nothing|Just String}`. Two types that look different may be encoded in one
// way, and what is compared is how they are encoded. What this code knows is in interpreter.capnp, but for what differs
// between versions (Version, protocol/ghc_versions.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/ghc_versions.h"
#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost::ghc {

struct Facts {
  struct Message {
    uint8_t tag;
    std::string constructor;
    std::string fields;  // a tuple
    std::string answer;
  };
  struct Question {
    uint8_t tag;
    std::string constructor;
  };
  // What GHC's own library reads and writes again.
  struct Sample {
    bool isAnswer;
    uint8_t tag;  // of the message
    std::vector<std::byte> bytes;
  };
  std::vector<Message> messages;
  std::vector<Question> questions;
  std::vector<Sample> samples;
};

// Fails with the line that is none of these.
Result<Facts> parseFacts(std::string_view text);

// How a type is encoded: `w` a word, `s` a string, `d` bytes, `[x]` a list, `{x|y}` one of several constructors; what
// follows each other is concatenated. Fails if the text is cut short, or names something that has no known encoding.
Result<std::string> encodingOf(std::string_view type);

// What this code makes of the facts. A message, an answer or a question of which something is not known is left out
// and named in `unknown`, with its types.
struct Wire {
  std::vector<schema::Request::Which> requests;  // by tag
  std::vector<std::string> questions;            // by tag
  uint8_t runTHDoneTag = 0;
  uint8_t addModFinalizerTag = 0;
  LoadDllAnswer loadDllAnswer = LoadDllAnswer::kMaybeError;
  BreakLocation breakLocation = BreakLocation::kUnique;
  std::vector<std::string> unknown;
};
Wire understand(const Facts& facts);

// The samples that this code does not read to their end, or writes otherwise: why, a line each.
std::vector<std::string> misunderstood(const Facts& facts, const Version& version);

}  // namespace splicehost::ghc
