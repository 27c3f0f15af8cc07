/* NVML's ABI without a GPU: what nvidia-ml-py calls, answered from a text file that a test rewrites.
 *
 * $FAKE_NVML_FILE holds lines "key value". "count", "N.total", "N.free", "N.uuid", "N.pci", "N.mig" describe GPU
 * N; "N.mig.M.free" and so on its MIG instance M. A line with a function's name, or "N.function" for one GPU
 * alone, makes that call answer with this error code. Structures are as in nvml.h of driver 560.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int nvmlReturn_t;
typedef struct { char name[32]; int index; } device; /* name: what its keys begin with */
typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct {
    char busIdLegacy[16];
    unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} pci_info;

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, UNKNOWN = 999 };

static int is_open = 0;
static device devices[64];

static int find(const char *prefix, const char *key, char *out, size_t size) {
    char wanted[128], line[512];
    const char *path = getenv("FAKE_NVML_FILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    int is_found = 0;
    if (!file) return 0;
    snprintf(wanted, sizeof wanted, "%s%s ", prefix, key);
    while (!is_found && fgets(line, sizeof line, file)) {
        if (strncmp(line, wanted, strlen(wanted)) != 0) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(out, size, "%s", line + strlen(wanted));
        is_found = 1;
    }
    fclose(file);
    return is_found;
}

static unsigned long long number(const char *prefix, const char *key, unsigned long long otherwise) {
    char text[64];
    return find(prefix, key, text, sizeof text) ? strtoull(text, NULL, 10) : otherwise;
}

static nvmlReturn_t fault(const char *prefix, const char *function) {
    nvmlReturn_t code = (nvmlReturn_t)number("", function, 0);
    if (!code && *prefix) code = (nvmlReturn_t)number(prefix, function, 0);
    if (!code && !is_open && strcmp(function, "nvmlInit_v2") != 0) code = UNINITIALIZED;
    return code;
}

#define ENTER(prefix) do { nvmlReturn_t code_ = fault(prefix, __func__); if (code_) return code_; } while (0)

static device *remember(const char *name, int index) {
    for (int place = 0; place < 64; place++) {
        if (devices[place].name[0] && strcmp(devices[place].name, name) != 0) continue;
        snprintf(devices[place].name, sizeof devices[place].name, "%s", name);
        devices[place].index = index;
        return &devices[place];
    }
    return NULL;
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    nvmlReturn_t code = fault("", "nvmlInit_v2");
    (void)flags;
    if (!code) is_open = 1;
    return code;
}

nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlShutdown(void) {
    ENTER("");
    is_open = 0;
    return OK;
}

const char *nvmlErrorString(nvmlReturn_t code) {
    switch (code) {
    case UNINITIALIZED: return "Uninitialized";
    case NOT_SUPPORTED: return "Not Supported";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    default: return "Unknown Error";
    }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    ENTER("");
    snprintf(version, length, "560.0-fake");
    return OK;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    ENTER("");
    *count = (unsigned int)number("", "count", 0);
    return OK;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, device **out) {
    char name[32];
    snprintf(name, sizeof name, "%u.", index);
    ENTER(name);
    if (index >= number("", "count", 0)) return INVALID_ARGUMENT;
    *out = remember(name, (int)index);
    return *out ? OK : UNKNOWN;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(device *gpu, memory_v1 *out) {
    ENTER(gpu->name);
    out->total = number(gpu->name, "total", 0);
    out->free = number(gpu->name, "free", 0);
    out->used = out->total - out->free;
    return OK;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(device *gpu, memory_v2 *out) {
    ENTER(gpu->name);
    if (out->version != (sizeof(memory_v2) | (2u << 24))) return INVALID_ARGUMENT;
    out->total = number(gpu->name, "total", 0);
    out->free = number(gpu->name, "free", 0);
    out->reserved = number(gpu->name, "reserved", 0);
    out->used = out->total - out->free - out->reserved;
    return OK;
}

nvmlReturn_t nvmlDeviceGetUUID(device *gpu, char *uuid, unsigned int length) {
    char text[96] = "";
    ENTER(gpu->name);
    find(gpu->name, "uuid", text, sizeof text);
    snprintf(uuid, length, "%s", text);
    return OK;
}

nvmlReturn_t nvmlDeviceGetName(device *gpu, char *name, unsigned int length) {
    ENTER(gpu->name);
    snprintf(name, length, "Fake GPU %d", gpu->index);
    return OK;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(device *gpu, pci_info *out) {
    ENTER(gpu->name);
    memset(out, 0, sizeof *out);
    find(gpu->name, "pci", out->busId, sizeof out->busId);
    return OK;
}

nvmlReturn_t nvmlDeviceGetMigMode(device *gpu, unsigned int *now, unsigned int *pending) {
    ENTER(gpu->name);
    *now = *pending = (unsigned int)number(gpu->name, "mig", NOT_SUPPORTED);
    return *now == NOT_SUPPORTED ? NOT_SUPPORTED : OK;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(device *gpu, unsigned int *count) {
    ENTER(gpu->name);
    *count = 7;
    return OK;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(device *gpu, unsigned int index, device **out) {
    char name[32], text[64];
    ENTER(gpu->name);
    snprintf(name, sizeof name, "%d.mig.%u.", gpu->index, index);
    if (!find(name, "total", text, sizeof text)) return NOT_FOUND;
    *out = remember(name, gpu->index);
    return *out ? OK : UNKNOWN;
}
