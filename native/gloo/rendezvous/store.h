#include "../transport/device.h"
