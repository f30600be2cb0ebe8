#include "transport/device.h"
