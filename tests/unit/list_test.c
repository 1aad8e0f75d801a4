/* The intrusive list. */
#include "check.h"

#include <unistd.h>

#include "../../runtime/list.h"

struct item {
    int before;
    struct mf_list link;
    int value;
};

/* The values as the digits of a number, read forwards; 0 when the way back disagrees. */
static int digits(const struct mf_list *l)
{
    int forward = 0, backward = 0, place = 1;
    for (const struct mf_list *n = l->next; n != l; n = n->next)
        forward = forward * 10 + MF_LIST_ENTRY(n, struct item, link)->value;
    for (const struct mf_list *n = l->prev; n != l; n = n->prev) {
        backward += place * MF_LIST_ENTRY(n, struct item, link)->value;
        place *= 10;
    }
    return forward == backward ? forward : 0;
}

int main(void)
{
    struct item item[4];
    struct mf_list list;
    alarm(60);
    mf_list_init(&list);
    CHECK(mf_list_empty(&list));
    for (int i = 0; i < 4; i++) {
        item[i] = (struct item){.before = -1, .value = i + 1};
        mf_list_init(&item[i].link);
        CHECK(MF_LIST_ENTRY(&item[i].link, struct item, link) == &item[i]);
    }
    for (int i = 0; i < 3; i++)
        mf_list_insert(&list, &item[i].link);
    CHECK(!mf_list_empty(&list) && digits(&list) == 123);
    mf_list_insert(list.next, &item[3].link);
    CHECK(digits(&list) == 4123);
    mf_list_remove(&item[1].link);
    CHECK(digits(&list) == 413 && mf_list_empty(&item[1].link));
    mf_list_remove(&item[1].link);
    CHECK(digits(&list) == 413);
    mf_list_insert(&item[2].link, &item[1].link);
    CHECK(digits(&list) == 4123);
    for (int i = 0; i < 4; i++)
        mf_list_remove(&item[i].link);
    CHECK(mf_list_empty(&list) && list.prev == &list && item[0].before == -1);
    return check_report();
}
