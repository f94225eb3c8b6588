//! Values of every shape of C in the memory of a traced program: arrays, bitfields, unions, structs in each other; read
//! member by member, shown as a whole, copied, and used as keys.

use crate::support::{Crumbs, Outcome, compiled, needs, no_tracing};

const TYPES: &str = "
    struct grid { int row[4]; short cell[2][3]; int *corner[2]; };
    struct flags {
        unsigned int mode : 4, level : 8, kind : 3, on : 1, rest : 16;
        short delta : 5, wide : 11;
        long span : 37;
        _Bool ready : 1;
        int whole : 32
    }
    union number { int all; struct { short low, high; }; unsigned char byte[4]; }
    struct part { uint8_t id; union number n }
    struct whole {
        int head;
        struct { int x, y } at;
        union { int left; unsigned int right; };
        struct part part[3];
        enum { SMALL, LARGE = 5 } size;
        char name[8];
        const char *text;
        struct whole *next;
    };";

fn run(body: &str) -> Outcome {
    let program = compiled("shapes.c", &[]);
    Crumbs::script(&format!("{TYPES} {body}"))
        .on(&program)
        .args(&["-c", program.to_str().unwrap()])
        .run()
}

#[test]
fn elements_of_arrays() {
    needs!(no_tracing());
    run(r#"uprobe:PROGRAM:see_grid {
            $grid = (struct grid *)arg0;
            $i = 1;
            $row = $grid->row;
            $cell = $grid->cell;
            @copy[0] = $grid->cell;
            $p = (int32 *)arg0;
            print(($grid->row[0], $row[3], $grid->row[$i], $p[2], *($p + 1)));
            print(($grid->cell[1][0], $cell[$i][$i + 1], @copy[0][0][2], *$grid->corner[1], *$grid->corner[0]));
            for ($n : 0..4) { printf("%d;", $row[$n] * 10); }
            printf("\n");
            print(sizeof($grid->cell));
        }"#)
    .prints("(1, 4, 2, 3, 2)\n(8, -10, 7, 22, 11)\n10;20;30;40;\n12\n\n\n@copy[0]: [[5,6,7],[8,9,-10]]\n");
}

#[test]
fn whole_arrays_as_values_and_keys() {
    needs!(no_tracing());
    run(r#"uprobe:PROGRAM:see_grid {
            $grid = (struct grid *)arg0;
            @value = $grid->row;
            @key[$grid->row] = 1;
            @keys[$grid->cell, 7] = 2;
            @key[@value]++;
            print(($grid->row, @value == $grid->row));
            printf("%s %s\n", $grid->cell, $grid->cell[1]);
        }"#)
    .prints(
        "([1,2,3,4], true)\n[[5,6,7],[8,9,-10]] [8,9,-10]\n\n\n@key[[1,2,3,4]]: 2\n\
         @keys[[[5,6,7],[8,9,-10]], 7]: 2\n@value: [1,2,3,4]\n",
    );
}

#[test]
fn bitfields_are_never_negative_but_for_whole_numbers() {
    needs!(no_tracing());
    run(r#"uprobe:PROGRAM:see_flags {
            $f = (struct flags *)arg0;
            print(($f->mode, $f->level, $f->kind, $f->on, $f->rest, $f->delta, $f->wide, $f->span, $f->ready, $f->whole));
            print(*$f);
            $copy = *$f;
            @copy = $copy;
            print(($copy.level + 1, $copy.delta, @copy.whole));
        }"#)
    .prints(
        "(1, 217, 5, 0, 65535, 29, 1000, 137438953470, true, -9)\n\
         { .mode = 1, .level = 217, .kind = 5, .on = 0, .rest = 65535, .delta = 29, .wide = 1000, .span = 137438953470, \
         .ready = true, .whole = -9 }\n(218, 29, -9)\n\n\n\
         @copy: { .mode = 1, .level = 217, .kind = 5, .on = 0, .rest = 65535, .delta = 29, .wide = 1000, \
         .span = 137438953470, .ready = true, .whole = -9 }\n",
    );
}

#[test]
fn structs_and_unions_in_each_other() {
    needs!(no_tracing());
    run(r#"uprobe:PROGRAM:see_whole {
            $w = (struct whole *)arg0;
            $behind = (struct whole **)arg1;
            print(($w->at.x, $w.at.y, $w->left, $w->right, $w->size, $w->name));
            print(($w->part[1].n.low, $w->part[2].n.high, $w->part[0].n.byte[2], $w->part[1]));
            print(((*$behind)->next->head, (*$behind).next.name, str($w->next->text), $w->next->next));
            $part = $w->part[1];
            $parts = $w->part;
            $i = 2;
            print(($part.n.all, $parts[$i].id, $w->part[$i].n.low));
            print($w->at);
            @at[$w->at] = $w->part[0].n;
            $t = ((int32)1, $w->at);
            print(($t.1.y, sizeof($t), offsetof(struct whole, part), offsetof(struct whole, at.y)));
        }"#)
    .prints(
        "(20, 30, -1, 4294967295, LARGE, 12345678)\n\
         (3, 6, 2, { .id = 2, .n = { .all = 262147, .low = 3, .high = 4, .byte = [3,0,4,0] } })\n\
         (2, last, the end, 0x0)\n(262147, 3, 5)\n{ .x = 20, .y = 30 }\n(30, 12, 16, 8)\n\n\n\
         @at[{ .x = 20, .y = 30 }]: { .all = 131073, .low = 1, .high = 2, .byte = [1,0,2,0] }\n",
    );
}
