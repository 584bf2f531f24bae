// What `iservctl status` shows of a broker.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "protocol/broker.capnp.h"

namespace splicehost::ctl {

// What a process is doing, in a word. By its id.
using ProcessState = std::function<std::string(uint32_t)>;

// For a person, in about 100 columns. `now` is nanoseconds since 1970. Ends with a newline.
std::string asTable(schema::BrokerStatus::Reader status, int64_t now, const ProcessState& stateOf);

// For a program: one JSON object, with those of other brokers in it. docs/iservctl.md describes it.
std::string asJson(schema::BrokerStatus::Reader status, const ProcessState& stateOf,
                   const std::vector<std::string>& others = {});
std::string noBrokerAsJson();

// How many zygotes there are, and what those used last have loaded, in one line, with a newline.
std::string zygotesInShort(schema::BrokerStatus::Reader status);

// A time as people say it: "0.4 s", "42 s", "12 min", "3 h", "2 days".
std::string duration(int64_t nanoseconds);

// A library's file as people know it: "lens-5.0.1" for /a/libHSlens-5.0.1-AoCTUgbk72lLKSz1I2VTsj.a. Of
// other files, the name.
std::string libraryName(std::string_view path);

}  // namespace splicehost::ctl
