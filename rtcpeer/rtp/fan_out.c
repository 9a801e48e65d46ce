/* One packet for many subscribers: written, numbered and protected for each of them, without Python in between.

   Optional: `rtp/build_helper.py` compiles it and `rtp/fan_out.py` loads it; without it `rtp/forwarding.py` and
   `rtp/session.py` do the same for each subscriber. Nothing is allocated or kept here, and nothing is sent; each length
   is checked before it is used. Python lays out the records: see `_OUTPUT` and `_PACKET` in `fan_out.py`. */

#include <stdint.h>
#include <string.h>

#define HEADER_SIZE 12
/* libsrtp adds no more than this: SRTP_MAX_TRAILER_LEN, with its index */
#define TRAILER_MAX 148
#define BODY_MAX (2048 - HEADER_SIZE)
/* packets that a transport remembers: congestion.history.SIZE */
#define SENT_SIZE 8192

#define EXPORTED __attribute__((visibility("default")))

typedef int (*protect_function)(void *session, void *packet, int *length);

/* What is known of one transport at this moment: `send_state.SendState`, which changes it, too. */
typedef struct {
    uint64_t session;    /* libsrtp's; 0: not now */
    uint64_t identifier; /* of the header extension for transport-wide numbers; 0: none */
    uint64_t number;     /* of the next packet, 16 bits */
    uint64_t sent_at;    /* double[SENT_SIZE]; 0: none */
    uint64_t sent_bytes; /* uint16_t[SENT_SIZE] */
} state_record;

typedef struct {
    uint64_t state;  /* state_record * */
    uint64_t budget; /* double *: bytes that may leave before anybody looks at the clock */
    int64_t start;   /* the first number of the source that goes out so */
    int64_t offset;
    uint32_t time_offset;
    uint32_t ssrc;
    uint16_t picture; /* offsets of VP8's numbers */
    uint8_t layer;
    uint8_t key;
    uint32_t waits; /* whether it waits when there is no budget: not sound */
} output_record;

typedef struct {
    uint64_t protect; /* srtp_protect */
    double now;
    int64_t number;
    uint32_t timestamp;
    uint8_t first, second;
    uint16_t payload_at; /* in the body */
    /* VP8's descriptor: where its fields are in the payload, 0 for those that it lacks; all 0: it is not VP8 */
    uint32_t descriptor_size;
    uint32_t picture_at, picture_width, layer_at, key_at; /* key_at 0 where there is no KEYIDX */
    uint32_t picture;
    uint32_t reserved;
} packet_record;

/* Which source this was compiled from: `fan_out.py` loads no other. */
EXPORTED const char *rtcpeer_fan_out_version(void)
{
    return RTCPEER_VERSION;
}

/* The sizes of the records, as Python has to lay them out. */
EXPORTED uint32_t rtcpeer_fan_out_layout(void)
{
    return (uint32_t)(sizeof(state_record) << 16 | sizeof(output_record) << 8 | sizeof(packet_record));
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

/* Where the transport-wide number belongs in a packet; 0: nowhere. As `SendControl.claim`. */
static uint32_t find_wide(const uint8_t *packet, uint32_t size, uint64_t identifier)
{
    uint32_t at = HEADER_SIZE + 4 * (packet[0] & 0x0F);
    if (!(packet[0] & 0x10) || size < at + 8)
        return 0;
    if (packet[at] == 0xBE)
        return packet[at + 4] == (uint8_t)(identifier << 4 | 1) ? at + 5 : 0;
    return packet[at + 4] == identifier && packet[at + 5] == 2 ? at + 6 : 0;
}

/* As `munging.move_pictures`; the descriptor lies in the payload, which the caller has checked. */
static void move_pictures(uint8_t *payload, const packet_record *packet, const output_record *output)
{
    if (packet->picture_at) {
        uint32_t picture = packet->picture + output->picture;
        if (packet->picture_width == 2)
            put16(payload + packet->picture_at, 0x8000 | (picture & 0x7FFF));
        else
            payload[packet->picture_at] = (uint8_t)(picture & 0x7F);
    }
    if (packet->layer_at)
        payload[packet->layer_at] = (uint8_t)(payload[packet->layer_at] + output->layer);
    if (packet->key_at) {
        uint8_t *key = payload + packet->key_at;
        *key = (uint8_t)((*key & 0xE0) | ((*key + output->key) & 0x1F));
    }
}

static int is_descriptor_inside(const packet_record *packet, uint32_t body_size)
{
    uint64_t size = packet->descriptor_size;
    uint64_t picture_end = (uint64_t)packet->picture_at + (packet->picture_width == 2 ? 2 : 1);
    return packet->payload_at + size <= body_size && (!packet->picture_at || picture_end <= size) && packet->layer_at < size &&
           packet->key_at < size;
}

/* Write and protect a packet for each output, one behind the other in `out`.

   lengths: for each output the bytes in `out`; 0: nothing was done, and nothing changed; below 0: libsrtp's error, negated.
   Gives the bytes in `out`. */
EXPORTED int32_t rtcpeer_fan_out(const packet_record *packet, const output_record *outputs, uint32_t count, const uint8_t *body,
                                 uint32_t body_size, uint8_t *out, uint32_t out_size, int32_t *lengths)
{
    protect_function protect = (protect_function)(uintptr_t)packet->protect;
    uint32_t used = 0;
    memset(lengths, 0, count * sizeof *lengths);
    if (!protect || body_size > BODY_MAX || out_size > INT32_MAX)
        return 0;
    for (uint32_t index = 0; index < count; index++) {
        const output_record *output = outputs + index;
        state_record *state = (state_record *)(uintptr_t)output->state;
        double *budget = (double *)(uintptr_t)output->budget;
        uint32_t size = HEADER_SIZE + body_size;
        if (out_size - used < size + TRAILER_MAX)
            break;
        if (!state || !budget || !state->session || packet->number < output->start)
            continue;
        if (output->waits && *budget - body_size < 0.0)
            continue;
        int is_moved = packet->descriptor_size && (output->picture || output->layer || output->key);
        if (is_moved && !is_descriptor_inside(packet, body_size))
            continue;
        uint8_t *to = out + used;
        to[0] = packet->first;
        to[1] = packet->second;
        put16(to + 2, (uint32_t)(packet->number + output->offset));
        put32(to + 4, packet->timestamp + output->time_offset);
        put32(to + 8, output->ssrc);
        memcpy(to + HEADER_SIZE, body, body_size);
        if (is_moved)
            move_pictures(to + HEADER_SIZE + packet->payload_at, packet, output);
        *budget -= body_size;
        if (state->identifier && state->sent_at && state->sent_bytes) {
            uint32_t at = find_wide(to, size, state->identifier);
            if (at) {
                uint32_t number = state->number & 0xFFFF;
                put16(to + at, number);
                ((double *)(uintptr_t)state->sent_at)[number % SENT_SIZE] = packet->now;
                ((uint16_t *)(uintptr_t)state->sent_bytes)[number % SENT_SIZE] = (uint16_t)size;
                state->number = (number + 1) & 0xFFFF;
            }
        }
        int length = (int)size;
        int code = protect((void *)(uintptr_t)state->session, to, &length);
        if (code) {
            lengths[index] = -code;
        } else if (length > 0 && (uint32_t)length <= size + TRAILER_MAX) {
            lengths[index] = length;
            used += (uint32_t)length;
        } else {
            lengths[index] = -1;
        }
    }
    return (int32_t)used;
}
