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

TARGET static void SIDE_BY_SIDE(const struct node *nodes, int count) {
    uint8_t tails[WIDTH][BLOCK];
    const uint8_t *at[WIDTH], *last[WIDTH], *from[WIDTH];
    uint32_t lows[WIDTH], highs[WIDTH], lasts[WIDTH], sizes[WIDTH], flags[WIDTH], past[WIDTH];
    uint32_t fewest = UINT32_MAX, most = 0; /* blocks before a node's last one */
    LANES_T cv[WORDS], low, high, size, flag, gone;
    for (int lane = 0; lane < WIDTH; lane++) {
        const struct node *node = nodes + (lane < count ? lane : 0);
        lows[lane] = (uint32_t)node->counter, highs[lane] = (uint32_t)(node->counter >> 32);
        lasts[lane] = node->size ? (node->size - 1) / BLOCK : 0;
        fewest = lasts[lane] < fewest ? lasts[lane] : fewest;
        most = lasts[lane] > most ? lasts[lane] : most;
        uint32_t end = lasts[lane] * BLOCK;
        at[lane] = node->at, last[lane] = node->at + end;
        if (node->size - end < BLOCK) {
            memset(tails[lane], 0, BLOCK);
            memcpy(tails[lane], last[lane], node->size - end);
            last[lane] = tails[lane];
        }
    }
    memcpy(&low, lows, sizeof low), memcpy(&high, highs, sizeof high);
    for (int i = 0; i < WORDS; i++)
        cv[i] = (LANES_T){0} + IV[i];
    for (uint32_t block = 0; block <= most; block++) {
        LANES_T v[16], m[16];
        int ends = block >= fewest; /* of some node, now or before */
        for (int lane = 0; lane < WIDTH; lane++)
            from[lane] = at[lane] + block * BLOCK;
        for (int lane = 0; ends && lane < WIDTH; lane++) {
            const struct node *node = nodes + (lane < count ? lane : 0);
            int here = block >= lasts[lane], leaf = !(node->flags & PARENT);
            from[lane] = here ? last[lane] : from[lane];
            sizes[lane] = here ? node->size - lasts[lane] * BLOCK : BLOCK;
            flags[lane] = (here ? node->flags : 0) | (leaf && !block ? CHUNK_START : 0);
            past[lane] = block > lasts[lane] ? UINT32_MAX : 0;
        }
        size = (LANES_T){0} + BLOCK, flag = (LANES_T){0} + (block ? 0 : CHUNK_START);
        if (ends)
            memcpy(&size, sizes, sizeof size), memcpy(&flag, flags, sizeof flag);
        for (int part = 0; part < 16; part += WIDTH) {
            LANES_T rows[WIDTH];
            for (int lane = 0; lane < WIDTH; lane++) {
                memcpy(&rows[lane], from[lane] + 4 * part, sizeof rows[lane]);
                __builtin_prefetch(from[lane] + 4 * part + WIDTH * LEAF); /* of the next, mostly */
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
        v[12] = low, v[13] = high, v[14] = size, v[15] = flag;
        for (int round = 0; round < 7; round++) {
            const uint8_t *o = ORDER[round];
            ROUND(v, m, o);
        }
        for (int i = 0; i < WORDS; i++)
            v[i] ^= v[i + 8];
        if (ends)
            memcpy(&gone, past, sizeof gone);
        for (int i = 0; i < WORDS; i++)
            cv[i] = ends ? (cv[i] & gone) | (v[i] & ~gone) : v[i];
    }
    for (int lane = 0; lane < count; lane++)
        for (int i = 0; i < WORDS; i++)
            put_word(nodes[lane].cv + 4 * i, cv[i][lane]);
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
