// What the user has set: the configuration file and the environment.
//
// The file is $XDG_CONFIG_HOME/splicehost/config, or ~/.config/splicehost/config. It has lines of the
// form `name = value`; empty lines and what follows a # are ignored. A variable of the environment takes
// precedence over the file. What neither sets has a default.
//
//   name     variable        value                                    default
//   share    ISERV_SHARE     on or off: whether to use a broker       on
//   memory   ISERV_MEMORY    for all zygotes: bytes, or with K, M, G  a quarter of the machine's
//   zygotes  ISERV_ZYGOTES   the most zygotes, 1 to 1000              24
//   spares   ISERV_SPARES    forks kept ready for a zygote, 0 to 16   2
//   idle     ISERV_IDLE      seconds after which an unused broker     900
//                            and an unused zygote end
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/result.h"

namespace splicehost {

struct Configuration {
  bool share = true;
  uint64_t memoryBytes = 0;
  uint32_t zygotes = 0;
  uint32_t spares = 0;
  uint32_t idleSeconds = 0;

  // For people: each setting with its value as they would write it, and where it comes from: "default",
  // a variable's name, or "file:line".
  struct Setting {
    std::string_view name;
    std::string value;
    std::string source;
  };
  std::array<Setting, 5> settings;
};

// The path of the configuration file, whether it exists or not; empty if there is no home folder.
std::string configurationFile();

// What is in force for this process. Fails with the place and what would be right, if the file or a
// variable has something that is not a setting or not a value.
Result<Configuration> readConfiguration();

}  // namespace splicehost
