// Of the oldest GHC, for which more is done here than for others.
#pragma once

#define __GLASGOW_HASKELL__ 900
