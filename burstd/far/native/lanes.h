/* Compresses the nodes of one level side by side, each in a lane of a vector. Included once for each
 * width: LANES_T is the vector's type, WIDTH its lanes, SIDE_BY_SIDE the function's name, TARGET
 * what its CPU must have. */

/* One step of turning a matrix: all rows of which the numbers differ in this bit change halves. */
#define TURN_STEP(rows, bit, low, high)                                                            \
    for (int i = 0; i < WIDTH; i++)                                                                \
        if (!(i & (bit))) {                                                                        \
            LANES_T one = rows[i], other = rows[i | (bit)];                                        \
            rows[i] = __builtin_shuffle(one, other, low);                                          \
            rows[i | (bit)] = __builtin_shuffle(one, other, high);                                 \
        }

TARGET static void SIDE_BY_SIDE(uint8_t *cvs, const struct nodes *nodes) {
    LANES_T cv[WORDS], low, high;
    for (int i = 0; i < WORDS; i++)
        cv[i] = (LANES_T){0} + IV[i];
    for (int lane = 0; lane < WIDTH; lane++) {
        uint64_t number = nodes->leaves ? nodes->counter + (uint64_t)lane : 0;
        low[lane] = (uint32_t)number, high[lane] = (uint32_t)(number >> 32);
    }
    for (int block = 0; block < nodes->blocks; block++) {
        LANES_T v[16], m[16];
        uint32_t flags = !nodes->leaves ? PARENT : 0;
        if (nodes->leaves)
            flags = (block == 0 ? CHUNK_START : 0) | (block == nodes->blocks - 1 ? CHUNK_END : 0);
        for (int part = 0; part < 16; part += WIDTH) {
            LANES_T rows[WIDTH];
            for (int lane = 0; lane < WIDTH; lane++) {
                const uint8_t *at = nodes->at[lane] + block * BLOCK + 4 * part;
                memcpy(&rows[lane], at, sizeof rows[lane]);
                __builtin_prefetch(at + WIDTH * LEAF); /* of the next ones, mostly */
            }
            TURN_STEP(rows, 1, LOW_1, HIGH_1)
            TURN_STEP(rows, 2, LOW_2, HIGH_2)
            TURN_STEP(rows, 4, LOW_4, HIGH_4)
            TURN_LAST(rows)
            for (int i = 0; i < WIDTH; i++) /* the steps leave words 1 and 2 of 4 exchanged */
                m[part + (i & ~3) + (i & 1) * 2 + (i >> 1 & 1)] = IN_ORDER(rows[i]);
        }
        for (int i = 0; i < WORDS; i++)
            v[i] = cv[i];
        for (int i = 0; i < 4; i++)
            v[8 + i] = (LANES_T){0} + IV[i];
        v[12] = low, v[13] = high, v[14] = (LANES_T){0} + BLOCK, v[15] = (LANES_T){0} + flags;
        for (int round = 0; round < 7; round++) {
            const uint8_t *o = ORDER[round];
            ROUND(v, m, o);
        }
        for (int i = 0; i < WORDS; i++)
            cv[i] = v[i] ^ v[i + 8];
    }
    for (int lane = 0; lane < nodes->count; lane++)
        for (int i = 0; i < WORDS; i++)
            put_word(cvs + lane * DIGEST + 4 * i, cv[i][lane]);
}

#undef TURN_STEP
#undef TURN_LAST
#undef LANES_T
#undef WIDTH
#undef SIDE_BY_SIDE
#undef TARGET
#undef LOW_1
#undef HIGH_1
#undef LOW_2
#undef HIGH_2
#undef LOW_4
#undef HIGH_4
