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
// and, for interpreters on other machines:
//   via           ISERV_VIA            where: a command, unix:PATH or tcp:HOST:PORT   none
//   architecture  ISERV_ARCHITECTURE   what the compiler's code is for                this machine's
//   root          ISERV_ROOT           the directory whose files are there, too; or none the working directory
//   exclude       ISERV_EXCLUDE        patterns of files that are not, with commas    what builds make
//   max-file      ISERV_MAX_FILE       bytes, of one that is; or with K, M, G         16M
//   variables     ISERV_VARIABLES      of the environment, with commas                LANG, LC_..., TZ
//   token-file    ISERV_TOKEN_FILE     a file with the target's token                 none
//   certificate   ISERV_CERTIFICATE    PEM file to check the target's against         none
//   timeout       ISERV_TIMEOUT        seconds for connecting                         30
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace splicehost {

struct Configuration {
  bool share = true;
  uint64_t memoryBytes = 0;
  uint32_t zygotes = 0;
  uint32_t spares = 0;
  uint32_t idleSeconds = 0;
  std::string via;  // empty: interpreters are on this machine
  std::string architecture;
  std::string root;
  std::vector<std::string> exclude;
  uint64_t maxFileBytes = 0;
  std::vector<std::string> variables;
  std::string tokenFile;
  std::string certificate;
  uint32_t timeoutSeconds = 0;

  // For people: each setting with its value as they would write it, and where it comes from: "default",
  // a variable's name, or "file:line".
  struct Setting {
    std::string_view name;
    std::string value;
    std::string source;
  };
  std::array<Setting, 14> settings;
};

// The path of the configuration file, whether it exists or not; empty if there is no home directory.
std::string configurationFile();

// What is in force for this process. Fails if the file or a variable has something that is not a setting or not a
// value, with the place and what would be right.
Result<Configuration> readConfiguration();

// Puts one setting in force, as from an option of this name on a command line. Fails if there is none, or with what
// would be right.
Status setOption(Configuration& configuration, std::string_view name, std::string_view value);

// The parts of a text between commas, without what is empty.
std::vector<std::string> splitAtCommas(std::string_view text);

}  // namespace splicehost
