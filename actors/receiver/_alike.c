/* Takes in images that are like the one before, compiled: reads each off a plain socket, compares its header, writes its
 * file and answers, without the interpreter's lock.
 *
 * It decides nothing: an image of which anything is not as expected is left in the buffer as fast.receive would leave it, and
 * goes the way that all images go without this file. What it does for an image is what Writer.put and the acceptor do, in
 * their order: file made, header and data written, synced if so promised, looked for under its name, answered.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_alike_take.h"

enum { INTERFACE = 3 }; /* count up with each change of what the functions take or give; alike.py holds the same number */

static const char NAME[] = "scanpost.alike";

PyDoc_STRVAR(receive_doc,
"receive(plan, fd, buffer, start, end, max_pdu, busy, deadline, slowest, sync, receipts, fds, ahead, wait, room, halt, outdated)\n"
"\n"
"Read messages from the beginning of one on, and take the images among them that are alike, until something else comes, and\n"
"for `wait` seconds after the first at most, or twice as long if one is on its way then. `receipts` has 16 bytes for each file\n"
"that may be filled, `fds` its descriptor, or -1 for the last ones if they are to be made; with `sync` so many `ahead` at a time.\n"
"`room` is how many bytes may be taken; while a byte of `halt` or `outdated` is set, nothing is.\n"
"\n"
"Returns (state, taken, files, owed, failed, errno): the state is what fast.receive would return of the message that was not\n"
"taken, or AGAIN if something came after more than `wait` seconds, and it is only in the buffer: look at `room` and all that\n"
"and call again; `taken` are (SOP instance UID, length, digest, offset, received, changed) in the order of the receipts, with changed\n"
"as ((number of the element, value), ...); `files` the descriptors now, -1 for those that are not open; `owed` is what is\n"
"still to be sent of the last answer; `failed` says that the message was not taken because its file could not be written (1) or\n"
"synced (2): it is the one of the first receipt behind those taken, and still open; or that the folder could not be synced (3).\n"
"With an errno none of the files that are left may be filled: their names may not be durable.");

static PyObject *
changed_of(const unsigned char *p, int count)
{
    PyObject *all = PyTuple_New(count);
    int i;
    for (i = 0; all != NULL && i < count; i++) {
        uint32_t size = little32(p + 4);
        PyObject *one = Py_BuildValue("(Iy#)", (unsigned)little32(p), (const char *)p + 8, (Py_ssize_t)size);
        if (one == NULL || PyTuple_SetItem(all, i, one) < 0)
            Py_CLEAR(all);
        p += 8 + size;
    }
    return all;
}

static PyObject *
taken_of(const Job *job)
{
    PyObject *all = PyTuple_New(job->count);
    int i;
    for (i = 0; all != NULL && i < job->count; i++) {
        const Taken *t = &job->taken[i];
        PyObject *one = Py_BuildValue("(s#ny#ndN)", (const char *)t->uid, (Py_ssize_t)t->uid_size, t->length,
                                      (const char *)t->digest, (Py_ssize_t)16, t->offset, t->received,
                                      changed_of(job->values + t->values, t->changed));
        if (one == NULL || PyTuple_SetItem(all, i, one) < 0)
            Py_CLEAR(all);
    }
    return all;
}

static PyObject *
numbers(const Py_ssize_t *from, int count)
{
    PyObject *all = PyTuple_New(count);
    int i;
    for (i = 0; all != NULL && i < count; i++) {
        PyObject *one = PyLong_FromSsize_t(from[i]);
        if (one == NULL || PyTuple_SetItem(all, i, one) < 0)
            Py_CLEAR(all);
    }
    return all;
}

static PyObject *
receive(PyObject *module, PyObject *args)
{
    PyObject *capsule, *result = NULL;
    Plan *plan;
    Reader *r = NULL;
    Job *job = NULL;
    Py_buffer buffer, receipts, fds, halt, outdated;
    int fd, sync, count = 0, ahead, code, i;
    Py_ssize_t start, end, max_pdu, room, files[MOST];
    double busy, deadline, slowest, wait;
    (void)module;
    if (!PyArg_ParseTuple(args, "Oiw*nnndddpy*y*idny*y*", &capsule, &fd, &buffer, &start, &end, &max_pdu, &busy, &deadline,
                          &slowest, &sync, &receipts, &fds, &ahead, &wait, &room, &halt, &outdated))
        return NULL;
    plan = PyCapsule_GetPointer(capsule, NAME);
    if (plan == NULL)
        goto done;
    if (start < 0 || start > end || end > buffer.len || !(slowest > 0) || receipts.len % 16 || receipts.len < 16 ||
        receipts.len / 16 > MOST ||
        fds.len != receipts.len / 16 * (Py_ssize_t)sizeof(int)) {
        PyErr_SetString(PyExc_ValueError, "numbers that do not fit together");
        goto done;
    }
    r = calloc(1, sizeof *r);
    job = calloc(1, sizeof *job);
    if (r == NULL || job == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    r->fd = fd;
    r->data = buffer.buf;
    r->size = buffer.len;
    r->start = start;
    r->end = end;
    r->max_pdu = max_pdu;
    r->busy = busy;
    r->deadline = deadline;
    r->slowest = slowest;
    job->receipts = receipts.buf;
    job->files = (int)(receipts.len / 16);
    memcpy(job->fds, fds.buf, (size_t)fds.len);
    while (job->made < job->files && job->fds[job->made] >= 0)
        job->made++;
    for (i = job->made; i < job->files; i++)
        job->fds[i] = -1;
    job->ready = job->made;
    job->ahead = ahead;
    job->wait = wait;
    job->room = room;
    job->halt = halt.buf;
    job->halts = halt.len;
    job->outdated = outdated.buf;
    job->outdateds = outdated.len;
    job->values = plan->values;
    Py_BEGIN_ALLOW_THREADS
    code = work(plan, r, job, sync);
    if (sync && !job->failed_errno)
        (void)sync_folder(plan, job); /* whoever gets them back may fill them */
    Py_END_ALLOW_THREADS
    count = (int)(receipts.len / 16);
    for (i = 0; i < count; i++)
        files[i] = i < job->made ? job->fds[i] : -1;
    result = Py_BuildValue(
        "((iinnnniinddnnN)NNy#ii)", code, r->error, r->start, r->end, r->pdu_left, r->pdv_left, r->last, r->context,
        r->moved, r->began, r->deadline, r->command, r->command_end, numbers(r->pieces, 2 * r->count), taken_of(job),
        numbers(files, count), (const char *)job->owed, job->owed_size, job->failed, job->failed_errno);
done:
    free(job);
    free(r);
    PyBuffer_Release(&buffer);
    PyBuffer_Release(&receipts);
    PyBuffer_Release(&fds);
    PyBuffer_Release(&halt);
    PyBuffer_Release(&outdated);
    return result;
}

/* -- plans --------------------------------------------------------------------------------------------------------------------- */

static void
destroy(PyObject *capsule)
{
    forget(PyCapsule_GetPointer(capsule, NAME));
}

static unsigned char *
copy_of(const char *data, Py_ssize_t size)
{
    unsigned char *copy = malloc((size_t)size + 1);
    if (copy != NULL) {
        memcpy(copy, data, (size_t)size);
        copy[size] = 0;
    }
    return copy;
}

/* Whether the elements lie one behind the other in a header of this size. */
static int
fits(const Plan *plan)
{
    Py_ssize_t i, at = 0;
    for (i = 0; i < plan->count; i++) {
        const Element *e = &plan->elements[i];
        if (e->at != at || e->length_at < 4 || e->length_at > e->size || e->value_at < e->length_at + 2 || e->value_at > e->size || e->kind > INSTANCE ||
            (e->value_at - e->length_at != 2 && e->value_at - e->length_at != 4) || e->size > plan->head_size - at)
            return 0;
        at += e->size;
    }
    return at == plan->head_size;
}

PyDoc_STRVAR(plan_doc,
"plan(context, explicit, most, head, stop, elements, sop_class, before, after, association, folder)\n"
"\n"
"What images are compared with and how they are stored: see Likeness for head (the header), stop (how the element behind it\n"
"begins) and elements (at, size, length_at, value_at, kind of each, as five numbers of 32 bits); `sop_class` as in the\n"
"command, `before` and `after` what the file meta has around the SOP instance UID, up to the private element's value. Raises\n"
"OSError: the folder cannot be opened.");

static PyObject *
make_plan(PyObject *module, PyObject *args)
{
    const char *head, *stop, *elements, *sop_class, *before, *after, *association, *folder;
    Py_ssize_t head_size, stop_size, elements_size, class_size, before_size, after_size, association_size, most;
    int context, explicit_vr;
    Plan *plan;
    PyObject *capsule;
    (void)module;
    if (!PyArg_ParseTuple(args, "ipny#y#y#y#y#y#y#s", &context, &explicit_vr, &most, &head, &head_size, &stop, &stop_size,
                          &elements, &elements_size, &sop_class, &class_size, &before, &before_size, &after, &after_size,
                          &association, &association_size, &folder))
        return NULL;
    if (context < 0 || context > 255 || association_size != 16 || class_size < 1 || class_size > LONGEST_UID || class_size & 1 ||
        before_size < 144 || before_size + after_size + 8 + LONGEST_UID + PRIVATE > MOST_META || stop_size < 4 ||
        stop_size > 8 || elements_size % (Py_ssize_t)sizeof(Element)) {
        PyErr_SetString(PyExc_ValueError, "sizes that do not fit together");
        return NULL;
    }
    plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return PyErr_NoMemory();
    plan->folder = -1;
    plan->context = context;
    plan->explicit_vr = explicit_vr;
    plan->most = most;
    plan->head = malloc((size_t)(head_size + stop_size));
    plan->head_size = head_size;
    plan->stop_size = stop_size;
    plan->elements = (Element *)copy_of(elements, elements_size);
    plan->count = elements_size / (Py_ssize_t)sizeof(Element);
    plan->sop_class = copy_of(sop_class, class_size);
    plan->class_size = class_size;
    plan->before = copy_of(before, before_size);
    plan->before_size = before_size;
    plan->after = copy_of(after, after_size);
    plan->after_size = after_size;
    memcpy(plan->association, association, 16);
    plan->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    plan->values = malloc(MOST_VALUES);
    plan->state = xxh3.create();
    if (!plan->head || !plan->elements || !plan->sop_class || !plan->before || !plan->after || !plan->values || !plan->state) {
        forget(plan);
        return PyErr_NoMemory();
    }
    if (plan->folder < 0) {
        forget(plan);
        PyErr_SetString(PyExc_OSError, "the folder cannot be opened");
        return NULL;
    }
    memcpy(plan->head, head, (size_t)head_size);
    memcpy(plan->head + head_size, stop, (size_t)stop_size);
    if (!fits(plan)) {
        forget(plan);
        PyErr_SetString(PyExc_ValueError, "elements that do not lie one behind the other");
        return NULL;
    }
    capsule = PyCapsule_New(plan, NAME, destroy);
    if (capsule == NULL)
        forget(plan);
    return capsule;
}

PyDoc_STRVAR(match_doc,
"match(plan, data, uid)\n\nThe changed values of a data set as in `receive`, or None: it is not alike. For tests.");

static PyObject *
match(PyObject *module, PyObject *args)
{
    PyObject *capsule, *result = NULL;
    const char *data, *uid;
    Py_ssize_t size, uid_size, used;
    unsigned char *values;
    Plan *plan;
    int changed;
    (void)module;
    if (!PyArg_ParseTuple(args, "Oy#y#", &capsule, &data, &size, &uid, &uid_size))
        return NULL;
    plan = PyCapsule_GetPointer(capsule, NAME);
    if (plan == NULL)
        return NULL;
    values = malloc(MOST_VALUES);
    if (values == NULL)
        return PyErr_NoMemory();
    used = compare(plan, (const unsigned char *)data, size, (const unsigned char *)uid, uid_size, values, MOST_VALUES, &changed);
    if (used < 0) {
        result = Py_None;
        Py_INCREF(result);
    }
    else
        result = changed_of(values, changed);
    free(values);
    return result;
}

PyDoc_STRVAR(laps_doc,
"laps(on)\n\nThe nanoseconds that went into the steps of _alike_laps.h since the last call, which begins to count anew, or stops it.");

static PyObject *
take_laps(PyObject *module, PyObject *args)
{
    Py_ssize_t spent[LAPS];
    int on, i;
    (void)module;
    if (!PyArg_ParseTuple(args, "p", &on))
        return NULL;
    for (i = 0; i < LAPS; i++)
        spent[i] = (Py_ssize_t)__atomic_exchange_n(&laps.spent[i], 0, __ATOMIC_RELAXED);
    laps.on = on;
    return numbers(spent, LAPS);
}

static PyMethodDef methods[] = {
    {"laps", take_laps, METH_VARARGS, laps_doc},
    {"receive", receive, METH_VARARGS, receive_doc},
    {"plan", make_plan, METH_VARARGS, plan_doc},
    {"match", match, METH_VARARGS, match_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_alike", "Images that are like the one before, compiled; see alike.py.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__alike(void)
{
    PyObject *module;
    const uint16_t one = 1;
    if (*(const unsigned char *)&one != 1) {
        PyErr_SetString(PyExc_ImportError, "only for little endian machines");
        return NULL;
    }
    if (!find_digest()) {
        PyErr_SetString(PyExc_ImportError, "libxxhash.so.0 (0.8 or newer) is not there");
        return NULL;
    }
    module = PyModule_Create(&definition);
    if (module != NULL &&
        (PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0 || PyModule_AddIntConstant(module, "AGAIN", AGAIN) < 0))
        Py_CLEAR(module);
    return module;
}
