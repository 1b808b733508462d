module github.com/sheafgrid/sheaf

go 1.26
