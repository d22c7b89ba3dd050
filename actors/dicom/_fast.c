/* The plain case of receiving images, compiled: reads C-STORE requests off a plain socket without the interpreter's lock.
 * The reading itself is in _reading.h; this file lends it to reading.py, and must not decide anything either.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_reading.h"

enum { INTERFACE = 1 }; /* count up with each change of what the functions take or give; fast.py holds the same number */

PyDoc_STRVAR(receive_doc,
"receive(fd, buffer, fresh, start, end, pdu_left, pdv_left, last, context, max_pdu, moved, began, busy, deadline, slowest)\n"
"\n"
"Read on in a message: from its beginning if `fresh`, else in its data set. Returns\n"
"(code, errno, start, end, pdu_left, pdv_left, last, context, moved, began, deadline, command, command_end, pieces):\n"
"WHOLE the data set has ended, MORE call again, STOPPED something else is to be done; `pieces` are pairs of positions.\n"
"`command` is -1 if none was read.");

static PyObject *
receive(PyObject *module, PyObject *args)
{
    Reader r;
    Py_buffer buffer;
    int fresh, code = STOPPED, i;
    PyObject *pieces;
    (void)module;
    if (!PyArg_ParseTuple(args, "iw*pnnnnpinndddd", &r.fd, &buffer, &fresh, &r.start, &r.end, &r.pdu_left, &r.pdv_left,
                          &r.last, &r.context, &r.max_pdu, &r.moved, &r.began, &r.busy, &r.deadline, &r.slowest))
        return NULL;
    r.data = buffer.buf;
    r.size = buffer.len;
    r.command = r.command_end = -1;
    r.count = r.error = 0;
    r.look = 0;
    r.pause = r.since = 0;
    if (r.start < 0 || r.start > r.end || r.end > r.size || r.pdu_left < 0 || r.pdv_left < 0 || !(r.slowest > 0)) {
        PyBuffer_Release(&buffer);
        PyErr_SetString(PyExc_ValueError, "positions outside of the buffer");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    if (!fresh || read_command(&r))
        code = read_data(&r);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&buffer);
    pieces = PyTuple_New(2 * r.count);
    if (pieces == NULL)
        return NULL;
    for (i = 0; i < 2 * r.count; i++) {
        PyObject *position = PyLong_FromSsize_t(r.pieces[i]);
        if (position == NULL || PyTuple_SetItem(pieces, i, position) < 0) {
            Py_DECREF(pieces);
            return NULL;
        }
    }
    return Py_BuildValue("(iinnnniinddnnN)", code, r.error, r.start, r.end, r.pdu_left, r.pdv_left, r.last, r.context,
                         r.moved, r.began, r.deadline, r.command, r.command_end, pieces);
}

PyDoc_STRVAR(elements_doc,
"elements(buffer, at, end)\n\nThe elements of a command set as {number: value}, or None if dimse.decode is to say what is wrong.");

static PyObject *
elements(PyObject *module, PyObject *args)
{
    Py_buffer buffer;
    Py_ssize_t at, end;
    PyObject *found = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nn", &buffer, &at, &end))
        return NULL;
    if (at >= 0 && at <= end && end <= buffer.len)
        found = PyDict_New();
    else
        PyErr_SetString(PyExc_ValueError, "positions outside of the buffer");
    while (found != NULL && at < end) {
        const unsigned char *p = (const unsigned char *)buffer.buf + at;
        PyObject *number, *value;
        uint32_t length;
        int failed;
        if (end - at < 8 || p[0] || p[1] || (uint64_t)(length = little32(p + 4)) > (uint64_t)(end - at - 8)) {
            Py_DECREF(found);
            PyBuffer_Release(&buffer);
            Py_RETURN_NONE;
        }
        number = PyLong_FromLong(p[2] | p[3] << 8);
        value = PyBytes_FromStringAndSize((const char *)p + 8, (Py_ssize_t)length);
        failed = number == NULL || value == NULL || PyDict_SetItem(found, number, value) < 0;
        Py_XDECREF(number);
        Py_XDECREF(value);
        if (failed)
            Py_CLEAR(found);
        at += 8 + (Py_ssize_t)length;
    }
    PyBuffer_Release(&buffer);
    return found;
}

PyDoc_STRVAR(send_doc,
"send(fd, data)\n\nSend what the kernel takes at once, and return how many bytes that was; other threads are not let in between."
" Whatever else\nhappens, 0 is returned, and sending again tells.");

static PyObject *
send_now(PyObject *module, PyObject *args)
{
    int fd;
    Py_buffer data;
    ssize_t sent;
    (void)module;
    if (!PyArg_ParseTuple(args, "iy*", &fd, &data))
        return NULL;
    sent = send(fd, data.buf, (size_t)data.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    PyBuffer_Release(&data);
    return PyLong_FromSsize_t(sent > 0 ? (Py_ssize_t)sent : 0);
}

static PyMethodDef methods[] = {
    {"receive", receive, METH_VARARGS, receive_doc},
    {"elements", elements, METH_VARARGS, elements_doc},
    {"send", send_now, METH_VARARGS, send_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_fast", "The plain case of receiving images, compiled; see reading.py.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__fast(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    if (PyModule_AddIntConstant(module, "WHOLE", WHOLE) < 0 || PyModule_AddIntConstant(module, "MORE", MORE) < 0 ||
        PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
